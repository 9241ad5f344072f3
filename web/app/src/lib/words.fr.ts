import type { en } from './words.en.ts'

export const fr: typeof en = {
  'nav.make': 'Créer', 'nav.gallery': 'Images', 'nav.network': 'Réseau', 'nav.wallet': 'Portefeuille', 'nav.check': 'Vérifier', 'nav.label': 'Pages', 'nav.skip': 'Aller au contenu',
  'app.language': 'English', 'app.devnet': 'devnet : pièces sans valeur', 'app.offline': 'La passerelle ne répond pas. Ce qui a été remis continue ; cette page réessaie.',
  'app.insecure': 'Les navigateurs ne donnent clés et empreintes qu’aux pages en https ou de cette machine. Ouvrez cette page sur http://localhost:… ou en https.',
  'app.loading': 'Chargement…', 'app.retry': 'Réessayer', 'app.copy': 'Copier', 'app.copied': 'Copié', 'app.close': 'Fermer', 'app.cancel': 'Annuler', 'app.footer': 'Chaque réponse est payée, vérifiable et attribuable.',

  'make.title': 'Que faut-il dessiner ?', 'make.placeholder': 'une pomme rouge', 'make.draw': 'Dessiner', 'make.stop': 'Arrêter', 'make.examples': 'Essayez', 'make.model': 'Modèle', 'make.size': 'Taille',
  'make.seed': 'Graine', 'make.random': 'au hasard', 'make.count': 'Combien', 'make.price': 'Prix', 'make.priceOf': '{price} chacune, au plus', 'make.noModel': 'Aucun mineur qui dessine n’est connecté.',
  'make.empty': 'Dites ce qu’il faut dessiner.', 'make.long': 'Le texte dépasse ce qu’une tâche peut contenir ({max} octets).', 'make.sealed': 'Seul le mineur qui dessine peut lire votre texte : il est scellé dans ce navigateur. Le coordinateur et le registre n’en voient que des empreintes.',
  'make.first': 'Première visite ? Un clic crée un compte dans ce navigateur et prend des pièces gratuites au robinet.', 'make.private': 'Qui peut lire quoi ?',
  'make.who': 'Le mineur lit le texte pendant qu’il dessine et doit ensuite l’oublier ; personne ne peut prouver qu’il l’a fait. Ce modèle est exact : un coordinateur qui devine votre texte pourrait confirmer sa supposition en le redessinant avec la graine.',

  'step.account': 'Un compte est créé dans ce navigateur', 'step.faucet': 'Le robinet donne {amount}', 'step.session': '{amount} sont mis sous séquestre : une transaction, puis autant d’images qu’ils en paient',
  'step.quote': 'On demande leur prix aux mineurs : {price}', 'step.seal': 'Le texte est scellé pour {n} mineurs et la tâche est signée', 'step.wait': 'La tâche attend un mineur', 'step.draw': 'Le mineur {miner} dessine',
  'step.drawOf': 'Le mineur {miner} dessine : {step} sur {steps}', 'step.check': 'Signature, prix, fichier et pixels sont comparés', 'step.done': 'Fini : {price} dus au mineur {miner} et à ceux qui ont fait le modèle',

  'pictures.title': 'Vos images', 'pictures.none': 'Pas encore d’image. Elles et leurs reçus ne sont gardés que dans ce navigateur.', 'pictures.make': 'En créer une', 'pictures.open': 'Certificat de « {prompt} »',

  'cert.title': 'Certificat', 'cert.gone': 'Ce navigateur n’a pas cette image.', 'cert.made': 'Créée', 'cert.by': 'Dessinée par', 'cert.byMiner': 'le mineur {miner}', 'cert.stake': '{amount} en jeu', 'cert.model': 'Modèle', 'cert.owner': 'de {owner}, licence {licence}',
  'cert.prompt': 'Texte', 'cert.promptNote': 'connu de vous et du mineur ; le reçu n’en a qu’une empreinte salée', 'cert.seed': 'Graine', 'cert.size': 'Taille', 'cert.price': 'Prix', 'cert.session': 'session {id}', 'cert.state': 'Paiement', 'cert.cid': 'CID de l’image', 'cert.task': 'Tâche', 'cert.trace': 'Trace',
  'cert.paid.open': 'dû ; payé quand la session est réglée', 'cert.paid.settled': 'réglé sur le registre', 'cert.paid.expired': 'la session est échue : le mineur reçoit ce que vous avez reconnu',
  'cert.paid.unknown': 'le registre n’a pas été interrogé', 'cert.checked': 'Vérifié dans ce navigateur, avec ce que contient le reçu', 'cert.online': 'Comparé avec le nœud du registre', 'cert.not': 'Ce que cela ne prouve pas',
  'cert.download': 'Télécharger l’image', 'cert.receipt': 'Télécharger le reçu', 'cert.again': 'Encore', 'cert.variation': 'Variante', 'cert.forget': 'Effacer ici', 'cert.forgetSure': 'Vraiment effacer ?', 'cert.offline': 'Chacun peut vérifier le reçu sans cette page : essaim receipt verify FICHIER',
  'cert.not.1': 'que le modèle a tourné tel qu’enregistré : le mineur l’affirme, et perd sa mise si un audit ou vous montrez le contraire', 'cert.not.2': 'quand elle a été dessinée : les heures sont celles du mineur', 'cert.not.3': 'que personne d’autre n’a vu l’image : le mineur l’a vue',

  'check.task': 'la tâche est signée par la clé de session {key}', 'check.receipt': 'le reçu est signé par le mineur {miner}', 'check.binds': 'le reçu répond à cette tâche : modèle, empreinte du texte, graine, taille, prix au plus convenu', 'check.file': 'le fichier est celui qui a été signé ({size} octets)',
  'check.pixels': 'ses pixels sont ceux qui ont été signés', 'check.miner': 'le mineur est enregistré et actif', 'check.minerGone': 'le mineur n’est plus actif', 'check.session': 'la session est la vôtre, et sa clé a signé', 'check.audit': 'audit : {state}', 'check.auditNone': 'aucun audit n’a été tiré au sort jusqu’ici',
  'check.title': 'Vérifier un reçu', 'check.intro': 'Un reçu dit qui a dessiné quoi, et pour combien. Il est vérifié ici, sans aucun réseau. Ajoutez l’image pour que ses octets soient comparés.', 'check.choose': 'Fichier du reçu', 'check.picture': 'Image (facultatif)', 'check.holds': 'Le reçu tient.', 'check.fails': 'Le reçu ne tient pas.', 'check.other': 'l’image est une autre que celle qui a été signée',

  'wallet.title': 'Portefeuille', 'wallet.none': 'Il n’y a pas encore de compte dans ce navigateur.', 'wallet.create': 'Créer un compte', 'wallet.connect': 'Utiliser mon portefeuille Ethereum', 'wallet.import': 'Reprendre un fichier de clé', 'wallet.balance': 'Solde', 'wallet.address': 'Adresse', 'wallet.ethereum': 'la même, comme l’écrivent les portefeuilles Ethereum',
  'wallet.faucet': 'Prendre {amount} au robinet', 'wallet.faucetDone': '{amount} sont arrivés.', 'wallet.send': 'Envoyer', 'wallet.to': 'À (essaim1… ou 0x…)', 'wallet.amount': 'Montant en AIM', 'wallet.sendNow': 'Envoyer {amount}', 'wallet.sent': '{amount} envoyés : transaction {hash}.',
  'wallet.session': 'Session', 'wallet.sessionNone': 'Aucune n’est ouverte. La première image en ouvre une : un dépôt sous séquestre et une clé qui le dépense chez ce coordinateur, et rien d’autre.', 'wallet.deposit': 'Dépôt', 'wallet.spent': 'Dépensé', 'wallet.left': 'Reste', 'wallet.expires': 'Finit d’elle-même', 'wallet.expiresIn': 'dans environ {minutes} min',
  'wallet.settle': 'Régler maintenant', 'wallet.settled': 'Réglée par la transaction {hash} : {refund} sont revenus.', 'wallet.limit': 'Dépôt de la prochaine session, en AIM', 'wallet.key': 'Clé', 'wallet.key.browser': 'Elle est scellée dans ce navigateur, sans phrase secrète : qui l’utilise peut dépenser, et effacer ses données perd le compte. Gardez un fichier de clé.',
  'wallet.key.passphrase': 'Elle est gardée sous votre phrase secrète.', 'wallet.key.ethereum': 'Votre portefeuille Ethereum la garde et vous demande à chaque transaction.', 'wallet.passphrase': 'Phrase secrète', 'wallet.export': 'Sauver le fichier de clé', 'wallet.protect': 'Garder sous la phrase', 'wallet.unlock': 'Déverrouiller', 'wallet.locked': 'Le compte est verrouillé.',
  'wallet.forget': 'Retirer de ce navigateur', 'wallet.forgetSure': 'Sans le fichier de clé, les pièces sont perdues. Vraiment retirer ?', 'wallet.short': 'au moins 8 caractères', 'wallet.working': 'En cours : une phrase secrète est rendue lente à deviner, exprès…', 'wallet.file': 'Fichier de clé', 'wallet.noEthereum': 'aucun portefeuille Ethereum dans ce navigateur', 'wallet.hold': 'Ayez des pièces pour les voir ici.',

  'network.title': 'Réseau', 'network.height': 'Hauteur', 'network.block': 'Durée d’un bloc', 'network.miners': 'Mineurs', 'network.coordinators': 'Coordinateurs', 'network.stake': 'En jeu', 'network.models': 'Modèles', 'network.node': 'Nœud', 'network.owner': 'Propriétaire', 'network.price': 'Prix', 'network.commission': 'Commission', 'network.fee': 'Part', 'network.state': 'État',
  'network.active': 'actif', 'network.retired': 'retiré', 'network.jailed': 'exclu', 'network.away': 'absent', 'network.name': 'Nom', 'network.kind': 'Genre', 'network.licence': 'Licence', 'network.royalty': 'Redevance', 'network.yours': 'À vous', 'network.stakeOn': 'Miser', 'network.unstake': 'Reprendre', 'network.claim': 'Toucher {amount}',
  'network.stakeTitle': 'Miser sur {node}', 'network.stakeWhy': 'La mise garantit la parole du nœud. Vous partagez ce qu’il gagne et perdez avec lui s’il est sanctionné ; reprendre attend la période de déblocage.', 'network.staked': 'Fait par la transaction {hash}.', 'network.note': 'Tel que le dit le nœud du registre de cette passerelle ; une page ne vérifie pas les en-têtes. essaim audit le fait.', 'network.perUnit': '{price} l’unité',

  'sign.title': 'Signer ceci ?', 'sign.text': 'C’est le texte entier que votre clé signe.', 'sign.yes': 'Signer',
  'error.title': 'Cela n’a pas marché',
}
