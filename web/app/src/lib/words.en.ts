// English. The other languages have the same keys; the compiler checks that.
export const en = {
  'nav.make': 'Make', 'nav.gallery': 'Pictures', 'nav.network': 'Network', 'nav.wallet': 'Wallet', 'nav.check': 'Check', 'nav.label': 'Pages', 'nav.skip': 'Skip to content',
  'app.language': 'Français', 'app.devnet': 'devnet: coins without value', 'app.offline': 'The gateway cannot be reached. What was handed in goes on; this page tries again.',
  'app.insecure': 'Browsers give keys and hashes to pages on https or on this machine only. Open this page at http://localhost:… or over https.',
  'app.loading': 'Loading…', 'app.retry': 'Try again', 'app.copy': 'Copy', 'app.copied': 'Copied', 'app.close': 'Close', 'app.cancel': 'Cancel', 'app.footer': 'Every answer paid for, checkable and attributable.',

  'make.title': 'What should be drawn?', 'make.placeholder': 'a red apple', 'make.draw': 'Draw', 'make.stop': 'Stop', 'make.examples': 'Try', 'make.model': 'Model', 'make.size': 'Size',
  'make.seed': 'Seed', 'make.random': 'random', 'make.count': 'How many', 'make.price': 'Price', 'make.priceOf': '{price} each, at most', 'make.noModel': 'No miner that draws is connected now.',
  'make.empty': 'Say what should be drawn.', 'make.long': 'The prompt is longer than a task may have ({max} bytes).', 'make.sealed': 'Only the miner that draws can read your prompt: it is sealed in this browser. The coordinator and the ledger see digests.',
  'make.first': 'First time here? One click makes an account in this browser and takes free coins from the faucet.', 'make.private': 'What can be read by whom?',
  'make.who': 'The miner reads the prompt while it draws and is asked to forget it; nobody can prove that it did. The model here is exact, so a coordinator that guesses your prompt could confirm the guess by drawing it again with the seed.',

  'step.account': 'An account is made in this browser', 'step.faucet': 'The faucet gives {amount}', 'step.session': '{amount} go into escrow: one transaction, then as many pictures as it pays',
  'step.quote': 'Miners are asked for their price: {price}', 'step.seal': 'The prompt is sealed to {n} miners and the task is signed', 'step.wait': 'The task waits for a miner', 'step.draw': 'Miner {miner} draws',
  'step.drawOf': 'Miner {miner} draws: {step} of {steps}', 'step.check': 'Signature, price, file and pixels are compared', 'step.done': 'Done: {price} owed to the miner and those behind the model',

  'pictures.title': 'Your pictures', 'pictures.none': 'No pictures yet. They and their receipts are kept in this browser only.', 'pictures.make': 'Make one', 'pictures.open': 'Certificate of “{prompt}”',

  'cert.title': 'Certificate', 'cert.gone': 'This browser does not hold that picture.', 'cert.made': 'Made', 'cert.by': 'Drawn by', 'cert.byMiner': 'miner {miner}', 'cert.stake': '{amount} at stake', 'cert.model': 'Model', 'cert.owner': 'of {owner}, licence {licence}',
  'cert.prompt': 'Prompt', 'cert.promptNote': 'known to you and the miner; the receipt holds its salted digest', 'cert.seed': 'Seed', 'cert.size': 'Size', 'cert.price': 'Price', 'cert.session': 'session {id}', 'cert.state': 'Payment', 'cert.cid': 'Picture’s CID', 'cert.task': 'Task', 'cert.trace': 'Trace',
  'cert.paid.open': 'owed; it is paid when the session is settled', 'cert.paid.settled': 'settled on the ledger', 'cert.paid.expired': 'the session has lapsed: the miner is paid what you have acknowledged',
  'cert.paid.unknown': 'the ledger was not asked', 'cert.checked': 'Checked in this browser, with what is in the receipt', 'cert.online': 'Compared with the ledger’s node', 'cert.not': 'Not proven by this',
  'cert.download': 'Download picture', 'cert.receipt': 'Download receipt', 'cert.again': 'Again', 'cert.variation': 'Variation', 'cert.forget': 'Delete here', 'cert.forgetSure': 'Really delete?', 'cert.offline': 'Anyone can check the receipt without this page: essaim receipt verify FILE',
  'cert.not.1': 'that the model ran as registered: the miner says so, and loses its stake if an audit or you show otherwise', 'cert.not.2': 'when it was drawn: times are the miner’s word', 'cert.not.3': 'that nobody else has seen the picture: the miner has',

  'check.task': 'the task is signed by the session’s key {key}', 'check.receipt': 'the receipt is signed by miner {miner}', 'check.binds': 'the receipt answers this task: model, prompt’s digest, seed, size, price at most the agreed', 'check.file': 'the file is the one that was signed ({size} bytes)',
  'check.pixels': 'its pixels are those that were signed', 'check.miner': 'the miner is registered and active', 'check.minerGone': 'the miner is not active any more', 'check.session': 'the session is yours, and its key has signed', 'check.audit': 'audit: {state}', 'check.auditNone': 'no audit was drawn for it so far',
  'check.title': 'Check a receipt', 'check.intro': 'A receipt file says who has drawn what, for how much. It is checked here, without any network. Add the picture to have its bytes compared.', 'check.choose': 'Receipt file', 'check.picture': 'Picture (optional)', 'check.holds': 'The receipt holds.', 'check.fails': 'The receipt does not hold.', 'check.other': 'the picture is another one than was signed',

  'wallet.title': 'Wallet', 'wallet.none': 'There is no account in this browser yet.', 'wallet.create': 'Make an account', 'wallet.connect': 'Use my Ethereum wallet', 'wallet.import': 'Take over a key file', 'wallet.balance': 'Balance', 'wallet.address': 'Address', 'wallet.ethereum': 'the same, as Ethereum wallets write it',
  'wallet.faucet': 'Get {amount} from the faucet', 'wallet.faucetDone': '{amount} have arrived.', 'wallet.send': 'Send', 'wallet.to': 'To (essaim1… or 0x…)', 'wallet.amount': 'Amount in AIM', 'wallet.sendNow': 'Send {amount}', 'wallet.sent': '{amount} were sent: transaction {hash}.',
  'wallet.session': 'Session', 'wallet.sessionNone': 'None is open. The first picture opens one: a deposit in escrow and a key that spends it with this coordinator, and nothing else.', 'wallet.deposit': 'Deposit', 'wallet.spent': 'Spent', 'wallet.left': 'Left', 'wallet.expires': 'Ends by itself', 'wallet.expiresIn': 'in about {minutes} min',
  'wallet.settle': 'Settle now', 'wallet.settled': 'Settled in transaction {hash}: {refund} came back.', 'wallet.limit': 'Deposit of the next session, in AIM', 'wallet.key': 'Key', 'wallet.key.browser': 'It is sealed in this browser, without a passphrase: whoever uses this browser can spend, and clearing its data loses the account. Keep a key file.',
  'wallet.key.passphrase': 'It is kept under your passphrase.', 'wallet.key.ethereum': 'Your Ethereum wallet keeps it and asks you for every transaction.', 'wallet.passphrase': 'Passphrase', 'wallet.export': 'Save key file', 'wallet.protect': 'Keep under the passphrase', 'wallet.unlock': 'Unlock', 'wallet.locked': 'The account is locked.',
  'wallet.forget': 'Remove from this browser', 'wallet.forgetSure': 'Without the key file the coins are lost. Really remove?', 'wallet.short': 'at least 8 characters', 'wallet.working': 'Working: a passphrase is made slow to guess on purpose…', 'wallet.file': 'Key file', 'wallet.noEthereum': 'no Ethereum wallet is in this browser', 'wallet.hold': 'Hold coins to see them here.',

  'network.title': 'Network', 'network.height': 'Height', 'network.block': 'Block time', 'network.miners': 'Miners', 'network.coordinators': 'Coordinators', 'network.stake': 'At stake', 'network.models': 'Models', 'network.node': 'Node', 'network.owner': 'Owner', 'network.price': 'Price', 'network.commission': 'Commission', 'network.fee': 'Fee', 'network.state': 'State',
  'network.active': 'active', 'network.retired': 'retired', 'network.jailed': 'jailed', 'network.away': 'away', 'network.name': 'Name', 'network.kind': 'Kind', 'network.licence': 'Licence', 'network.royalty': 'Royalty', 'network.yours': 'Yours', 'network.stakeOn': 'Stake', 'network.unstake': 'Take back', 'network.claim': 'Claim {amount}',
  'network.stakeTitle': 'Stake on {node}', 'network.stakeWhy': 'Stake backs the node’s word. You share what it earns and lose with it when it is slashed; taking back waits for the unbonding period.', 'network.staked': 'Done in transaction {hash}.', 'network.note': 'As this gateway’s ledger node tells it; a page does not verify headers. essaim audit does.', 'network.perUnit': '{price} a unit',

  'sign.title': 'Sign this?', 'sign.text': 'The whole text that your key signs', 'sign.send': 'Send {amount} to {to}', 'sign.session': 'Put {amount} into escrow with coordinator {node}', 'sign.stake': 'Stake {amount} on {node}', 'sign.unstake': 'Take {amount} of stake back from {node}', 'sign.claim': 'Claim your rewards', 'sign.yes': 'Sign',
  'error.title': 'That did not work',
}
