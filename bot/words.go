package bot

import (
	"fmt"
	"strings"

	"github.com/essaim/essaim"
)

// text is something that the bot says, in both languages. A test compares what they take.
type text struct{ en, fr string }

// The languages.
const (
	english = "en"
	french  = "fr"
)

// langOf chooses a language by what a platform says of its user, such as "fr-CA".
func langOf(tag string) string {
	if tag, _, _ = strings.Cut(strings.ToLower(tag), "-"); tag == french {
		return french
	}
	return english
}

func say(lang string, t text, args ...any) string {
	format := t.en
	if lang == french {
		format = t.fr
		for i, a := range args {
			if x, ok := a.(essaim.Amount); ok {
				args[i] = strings.Replace(x.String(), ".", ",", 1)
			}
		}
	}
	return fmt.Sprintf(format, args...)
}

// Failed is what a platform says in the bot's place when the bot cannot keep what it was told. tag is what the
// platform says of the language, such as "fr".
func Failed(tag string) string { return say(langOf(tag), failed, say(langOf(tag), lost)) }

var (
	lost    = text{"I cannot write it down", "je ne peux pas le noter"}
	welcome = text{
		`Welcome. I draw pictures on Essaim, an open network where every answer is paid for and can be checked.

You have an account here: %s
I keep its key for you; /export hands it over. Keep small change here only: at most %s.

Begin with /faucet for free coins, then /imagine a red apple`,
		`Bienvenue. Je dessine sur Essaim, un réseau ouvert où chaque réponse est payée et vérifiable.

Vous avez ici un compte : %s
Je garde sa clé pour vous ; /export vous la remet. N'y laissez que de la petite monnaie : au plus %s.

Commencez par /faucet pour des pièces gratuites, puis /imagine une pomme rouge`}
	help = text{
		`/imagine a red apple – draw a picture
/faucet – free coins, once a day
/balance – what you have
%s
/history – your last pictures and payments
/price – what a picture costs
/verify – check your last picture, or /verify 12
/lang fr – français
/export – your account's key (in private)
/link – connect an account of your own

Addresses may be essaim1…, 0x…, @somebody here, or aim:name for a name on the ledger. I keep your prompts, encrypted, for the buttons below pictures; the miner who draws reads them.`,
		`/imagine une pomme rouge – dessiner
/faucet – des pièces gratuites, une fois par jour
/balance – ce que vous avez
%s
/history – vos derniers dessins et paiements
/price – le prix d'un dessin
/verify – vérifier votre dernier dessin, ou /verify 12
/lang en – English
/export – la clé de votre compte (en privé)
/link – relier un compte à vous

Une adresse s'écrit essaim1…, 0x…, @quelqu'un d'ici, ou aim:nom pour un nom du registre. Je garde vos textes, chiffrés, pour les boutons sous les dessins ; le mineur qui dessine les lit.`}
	tipLine = text{"/tip @name 0.5 – give coins; or reply to somebody with /tip 0.5",
		"/tip @nom 0,5 – donner ; ou répondez à quelqu'un par /tip 0,5"}
	tipLineForms = text{"/tip – give coins to somebody here, or to an address", "/tip – donner à quelqu'un d'ici, ou à une adresse"}
	unknown      = text{"I do not know %s. /help lists what I can do.", "Je ne connais pas %s. /help dit ce que je sais faire."}
	tooFast      = text{"Slowly, please: I answer your first messages before I take more.", "Doucement : je réponds d'abord à vos premiers messages."}
	inPrivate    = text{"Write to me in private for that.", "Écrivez-moi en privé pour cela."}
	failed       = text{"That did not work: %s. Nothing was charged.", "Cela n'a pas marché : %s. Rien n'a été débité."}
	langSet      = text{"I speak English to you now.", "Je vous parle français désormais."}
	langHow      = text{"Write /lang fr or /lang en.", "Écrivez /lang fr ou /lang en."}
	nothingHere  = text{"Nothing yet.", "Rien encore."}

	balanceIs    = text{"You have %s.", "Vous avez %s."}
	balanceParts = text{"of which %s is in escrow for pictures and free again when you pause", "dont %s réservés pour des dessins, libres dès que vous faites une pause"}
	balanceHeld  = text{"%s of your tips wait for people who have not come yet", "%s de vos dons attendent des gens qui ne sont pas encore venus"}
	balanceCap   = text{"That is more than the %s I should keep for anybody: move some of it with /tip ADDRESS AMOUNT, or /export.", "C'est plus que les %s que je devrais garder : déplacez-en avec /tip ADRESSE MONTANT, ou /export."}
	priceIs      = text{"A picture costs at most %s (%s, %d miners). What is not used comes back.", "Un dessin coûte au plus %s (%s, %d mineurs). Ce qui n'est pas utilisé revient."}
	cannotNow    = text{"Nobody can draw just now. Try again in a minute.", "Personne ne peut dessiner en ce moment. Réessayez dans une minute."}

	imagineHow = text{"Say what to draw: /imagine a red apple", "Dites quoi dessiner : /imagine une pomme rouge"}
	drawing    = text{"Drawing “%s” …", "Je dessine « %s » …"}
	drawingAt  = text{"Drawing “%s”\n%s step %d of %d", "Je dessine « %s »\n%s étape %d sur %d"}
	caption    = text{"“%s”\n%s · seed %d · picture %d", "« %s »\n%s · graine %d · dessin %d"}
	proven     = text{"proven: the model draws this", "prouvé : c'est bien ce que le modèle dessine"}
	onTheHouse = text{"I was restarted while this was drawn. You were charged once.", "J'ai redémarré pendant ce dessin. Vous n'avez payé qu'une fois."}
	tooPoor    = text{"A picture costs up to %s, you have %s. /faucet gives free coins once a day.", "Un dessin coûte jusqu'à %s, vous avez %s. /faucet donne des pièces une fois par jour."}
	notDrawn   = text{"There is no picture: %s. You were not charged for it.", "Pas de dessin : %s. Il ne vous est pas débité."}
	notRedrawn = text{"Your picture was charged (%s) and lost when I was restarted, and I cannot draw it again now: %s. Tell whoever runs me.", "Votre dessin a été débité (%s) puis perdu à mon redémarrage, et je ne peux le refaire maintenant : %s. Dites-le à qui me fait tourner."}
	restarted  = text{"I was restarted", "j'ai redémarré"}
	again      = text{"Again", "Encore"}
	vary       = text{"Variation", "Variante"}
	certify    = text{"Certificate", "Certificat"}
	notYours   = text{"I do not find that picture here.", "Je ne trouve pas ce dessin ici."}

	gift       = text{"Here is %s, for pictures and tips. Come again tomorrow.", "Voici %s, pour des dessins et des dons. Revenez demain."}
	giftSoon   = text{"You had your coins today. Come again in %s.", "Vous avez eu vos pièces aujourd'hui. Revenez dans %s."}
	giftYoung  = text{"Your account is too new for the faucet. Come again in %s.", "Votre compte est trop récent pour le robinet. Revenez dans %s."}
	giftChat   = text{"This group has had its coins for today. Ask me in private.", "Ce groupe a eu ses pièces pour aujourd'hui. Demandez-moi en privé."}
	giftEmpty  = text{"The faucet is empty for today. Come again tomorrow.", "Le robinet est vide pour aujourd'hui. Revenez demain."}
	giftFull   = text{"You have enough: I keep at most %s for anybody.", "Vous en avez assez : je garde au plus %s par personne."}
	hoursLater = text{"%d h", "%d h"}
	minutes    = text{"%d min", "%d min"}

	tipHow      = text{"Write /tip @name 0.5, or /tip 0x… 0.5, or reply to somebody with /tip 0.5", "Écrivez /tip @nom 0,5, ou /tip 0x… 0,5, ou répondez à quelqu'un par /tip 0,5"}
	tipHowForms = text{"Say how much, and either who (user) or which address (to).", "Dites combien, et soit à qui (user), soit à quelle adresse (to)."}
	tipAmount   = text{"“%s” is no amount. Write AIM like 0.5, or 250uaim.", "« %s » n'est pas un montant. Écrivez des AIM comme 0,5, ou 250uaim."}
	tipWho      = text{"“%s” is nobody I know. Write essaim1…, 0x…, @name, or aim:name.", "« %s » n'est personne que je connaisse. Écrivez essaim1…, 0x…, @nom ou aim:nom."}
	tipSelf     = text{"That is yourself.", "C'est vous-même."}
	tipOver     = text{"You have %s, that is less than %s.", "Vous avez %s, c'est moins que %s."}
	tipFull     = text{"%s has as much here as I keep for anybody (%s).", "%s a déjà ici tout ce que je garde par personne (%s)."}
	tipDone     = text{"%s for %s.", "%s pour %s."}
	tipHeld     = text{"%s for %s, who has not written to me yet. It waits until %s; then it comes back to you.", "%s pour %s, qui ne m'a pas encore écrit. Cela attend jusqu'au %s, puis vous revient."}
	tipGot      = text{"A tip of %s was waiting for you. It is yours now.", "Un don de %s vous attendait. Il est à vous."}
	tipWaits    = text{"A tip of %s waits for you: you have as much here as I keep for anybody.", "Un don de %s vous attend : vous avez déjà ici tout ce que je garde par personne."}
	somebody    = text{"them", "cette personne"}
	movesHead   = text{"Payments:", "Paiements :"}
	drawsHead   = text{"Pictures:", "Dessins :"}
	aboutText   = map[string]text{aboutTip: {"tip", "don"}, aboutFaucet: {"faucet", "robinet"}, aboutClaim: {"tip that waited", "don qui attendait"}, aboutReturn: {"tip that came back", "don revenu"}}
	verifyNone  = text{"There is no picture of yours to check. /imagine one first.", "Aucun dessin de vous à vérifier. Faites d'abord /imagine."}
	certificate = text{`Picture %d, checked just now:
ok  the task was signed by its session's key
ok  miner %s signed that it drew this
ok  the picture is the file that was signed
    price %s of at most %s
    model %s, seed %d
    task %s
%s
The attached file proves it offline: essaim receipt verify FILE`,
		`Dessin %d, vérifié à l'instant :
ok  la tâche est signée par la clé de sa session
ok  le mineur %s a signé qu'il l'a dessiné
ok  le dessin est le fichier qui fut signé
    prix %s, au plus %s
    modèle %s, graine %d
    tâche %s
%s
Le fichier ci-joint le prouve hors ligne : essaim receipt verify FICHIER`}
	provenLine   = text{"ok  its proof was checked before it was paid for: the model draws this", "ok  sa preuve fut vérifiée avant paiement : le modèle dessine ceci"}
	unprovenLine = text{"    it came without a proof", "    il est venu sans preuve"}
	auditedLine  = text{"ok  %d others have run it again", "ok  refait par %d autres"}
	goneLine     = text{"    the picture is no longer kept here; the receipt still is", "    le dessin n'est plus gardé ici ; le reçu l'est"}
	isWrong      = text{"NO: %s", "NON : %s"}

	exported = text{
		`The key of %s:

%s

Import it into MetaMask, or with essaim keys import. Whoever has it has the money: I delete this message in a minute. I keep a copy until you press the button.`,
		`La clé de %s :

%s

Importez-la dans MetaMask, ou par essaim keys import. Qui l'a, a l'argent : j'efface ce message dans une minute. J'en garde copie tant que vous n'appuyez pas sur le bouton.`}
	forget    = text{"Forget my key", "Oublier ma clé"}
	forgotten = text{"I have forgotten the key of %s. From now on you have a new account here: %s", "J'ai oublié la clé de %s. Vous avez désormais un nouveau compte ici : %s"}

	linkHow  = text{"Sign this with an account of your own, on the page or with essaim link, and send me what you get, within an hour:\n\n%s", "Signez ceci avec un compte à vous, sur la page ou par essaim link, et envoyez-moi le résultat, dans l'heure :\n\n%s"}
	linkDone = text{"Linked: %s is yours. Tips that your account here has no room for go there.", "Relié : %s est à vous. Les dons qui dépassent votre compte d'ici y vont."}
	linkBad  = text{"That does not prove anything: %s. Begin again with /link.", "Cela ne prouve rien : %s. Recommencez par /link."}
)
