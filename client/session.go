package client

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/seal"
)

// Session is an open escrow and the key that spends it. It is safe for concurrent
// use.
type Session struct {
	cfg      Config
	key      ed25519.PrivateKey
	record   essaim.Session
	tx       essaim.Tx
	registry registry
	quotes   quotes
	sealer   seal.Sender // of all inputs: a session's tasks name it anyway

	mu       sync.Mutex
	seq      uint64        // of the newest task
	drawing  int           // draws under way
	reserved essaim.Amount // by draws under way
	spent    essaim.Amount // by accepted receipts
	accepted uint64        // receipts
	limit    essaim.Amount // of what may be spent; 0: the deposit
	vouched  time.Time     // when a voucher was last sent along
	doubtful essaim.Amount // by tasks that ended without a picture and may have a receipt
	restored bool          // tasks since the last Save are not counted in spent
	closing  bool
	settled  *essaim.Settled
	reply    *seal.PrivateKey // that results are sealed to; nil: none yet
	replied  time.Time        // when it was made
}

// openRounds is how many times the coordinator's shortest session a new session
// stays open.
const openRounds = 2

// Open makes a fresh session key and moves deposit into escrow for the coordinator:
// one transaction by the payer's wallet. The money that is not spent comes back when
// the session is closed or expires. Save the session at once if losing its key in a
// crash would matter: without it the rest comes back only when the session ends by
// itself.
//
// Errors: CodeRefused if the coordinator is of another chain or not on the ledger,
// CodeInsufficient if the deposit is below its minimum, else the ledger's.
func Open(ctx context.Context, cfg Config, deposit essaim.Amount) (*Session, error) {
	info, err := cfg.Coordinator.Info(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkCoordinator(ctx, cfg, info); err != nil {
		return nil, err
	}
	if deposit < info.MinDeposit {
		return nil, essaim.Errorf(essaim.CodeInsufficient, "deposit more; what is not spent comes back", "a deposit of %s is below the coordinator's minimum of %s", deposit, info.MinDeposit)
	}
	height, err := cfg.Ledger.Height(ctx)
	if err != nil {
		return nil, err
	}
	key := cfg.Key
	if key == nil {
		if _, key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return nil, essaim.Errorf(essaim.CodeInternal, "", "make a session key: %w", err)
		}
	}
	expiry := height + openRounds*max(info.ExpiryAhead, 1)
	id, tx, err := cfg.Ledger.OpenSession(ctx, info.Coordinator, deposit, essaim.NodeKeyOf(key), expiry)
	if err != nil {
		return nil, err
	}
	return &Session{cfg: cfg, key: key, tx: tx, limit: cfg.Limit, record: essaim.Session{
		ID: id, Coordinator: info.Coordinator, Deposit: deposit, SessionKey: essaim.NodeKeyOf(key),
		Opened: tx.Height, Expiry: expiry, State: essaim.SessionOpen,
	}}, nil
}

func checkCoordinator(ctx context.Context, cfg Config, info essaim.CoordinatorInfo) error {
	if info.ChainID != cfg.ChainID {
		return essaim.Errorf(essaim.CodeRefused, "use a gateway and a ledger of one network", "the coordinator works for chain %q, the ledger is %q", info.ChainID, cfg.ChainID)
	}
	actor, err := cfg.Ledger.Actor(ctx, info.Coordinator)
	if essaim.CodeOf(err) == essaim.CodeNotFound && err != nil {
		return essaim.Errorf(essaim.CodeRefused, "a coordinator registers before it serves", "coordinator %s is not on the ledger", info.Coordinator.Short())
	}
	if err != nil {
		return err
	}
	if actor.Role != essaim.RoleCoordinator || actor.RetiredAt != 0 {
		return essaim.Errorf(essaim.CodeRefused, "choose another coordinator", "%s is not an active coordinator on the ledger", info.Coordinator.Short())
	}
	return nil
}

// saved is the encoding of a session. Fields may be added, never renamed.
type saved struct {
	Version  int            `json:"version"`
	ChainID  string         `json:"chain_id"`
	Key      []byte         `json:"key"` // Ed25519 seed
	Session  essaim.Session `json:"session"`
	Tx       essaim.Tx      `json:"tx"`
	Seq      uint64         `json:"seq"`
	Spent    essaim.Amount  `json:"spent"`
	Doubtful essaim.Amount  `json:"doubtful"`
	Accepted uint64         `json:"accepted,omitempty"`
	Limit    essaim.Amount  `json:"limit,omitempty"`
}

// Save writes what Restore needs. It holds the session's secret key, which can spend
// the deposit with this coordinator and nothing else.
func (s *Session) Save() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(saved{
		Version: 1, ChainID: s.cfg.ChainID, Key: s.key.Seed(), Session: s.record, Tx: s.tx,
		Seq: s.seq, Spent: s.spent, Doubtful: s.doubtful + s.reserved,
		Accepted: s.accepted, Limit: s.limit,
	})
	if err != nil {
		panic(err) // our own type always encodes
	}
	return b
}

// Restore continues a saved session. Tasks drawn since the save are not lost to it:
// numbers go on from the clock's milliseconds, so that none is used twice.
//
// Errors: CodeBadInput if the bytes are damaged, CodeRefused if the session belongs
// to another chain, CodeConflict if the ledger says that it is over.
func Restore(ctx context.Context, cfg Config, b []byte) (*Session, error) {
	var v saved
	if err := json.Unmarshal(b, &v); err != nil || v.Version != 1 || len(v.Key) != ed25519.SeedSize {
		return nil, essaim.Errorf(essaim.CodeBadInput, "the file was cut, or written by a newer version", "saved session cannot be read (version %d): %v", v.Version, err)
	}
	if v.ChainID != cfg.ChainID {
		return nil, essaim.Errorf(essaim.CodeRefused, "use the ledger that the session was opened on", "saved session is of chain %q, the ledger is %q", v.ChainID, cfg.ChainID)
	}
	key := ed25519.NewKeyFromSeed(v.Key)
	record, err := cfg.Ledger.Session(ctx, v.Session.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case record.SessionKey != essaim.NodeKeyOf(key):
		return nil, essaim.Errorf(essaim.CodeRefused, "the ledger was started anew; remove the saved session", "session %s on the ledger has another key", record.ID)
	case record.State != essaim.SessionOpen:
		return nil, essaim.Errorf(essaim.CodeConflict, "open a new session", "session %s is %s", record.ID, record.State)
	}
	return &Session{
		cfg: cfg, key: key, record: record, tx: v.Tx, restored: true, spent: v.Spent, doubtful: v.Doubtful,
		accepted: v.Accepted, limit: cmp.Or(cfg.Limit, v.Limit),
		seq: max(v.Seq, uint64(time.Now().UnixMilli())),
	}, nil
}

// replyAge is how long results are sealed to one key: who finds it in the memory later
// reads no older ones.
const replyAge = 10 * time.Minute

// replyKey is the key that the results of tasks prepared now are sealed to. It is never
// saved.
func (s *Session) replyKey() (*seal.PrivateKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reply == nil || time.Since(s.replied) > replyAge {
		k, err := seal.GenerateKey()
		if err != nil {
			return nil, err
		}
		s.reply, s.replied = k, time.Now()
	}
	return s.reply, nil
}

// Record is the session as it was opened, with the deposit that it has now, and without
// the payer's address unless it was restored.
func (s *Session) Record() essaim.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record
}

// TopUp adds to the session's deposit: one transaction by the payer's wallet. Its expiry
// stays. The coordinator sees it at the first task that needs it.
//
// Errors: CodeConflict if the session is being closed, else the ledger's.
func (s *Session) TopUp(ctx context.Context, amount essaim.Amount) (essaim.Tx, error) {
	s.mu.Lock()
	id, over := s.record.ID, s.closing || s.settled != nil
	s.mu.Unlock()
	if over {
		return essaim.Tx{}, essaim.Errorf(essaim.CodeConflict, "open a new session", "session %s is closed", id)
	}
	deposit, tx, err := s.cfg.Ledger.TopUp(ctx, id, amount)
	if err != nil {
		return tx, err
	}
	s.raise(deposit)
	return tx, nil
}

// raise notes a deposit that the ledger has. Two top-ups may be told in either order.
func (s *Session) raise(deposit essaim.Amount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.Deposit = max(s.record.Deposit, deposit)
}

// Tx is the transaction that opened the session.
func (s *Session) Tx() essaim.Tx { return s.tx }

// Spent is the sum of the accepted receipts' prices.
func (s *Session) Spent() essaim.Amount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spent
}

// Left is what further pictures may cost: the deposit less what is spent or reserved
// by draws under way. A spending limit is kept more strictly: what may have been charged
// without a picture counts against it.
func (s *Session) Left() essaim.Amount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left()
}

func (s *Session) left() essaim.Amount {
	rest := less(s.record.Deposit, s.spent+s.reserved)
	if s.limit != 0 {
		rest = min(rest, less(s.limit, s.spent+s.reserved+s.doubtful))
	}
	return rest
}

// less is a - b, or nothing.
func less(a, b essaim.Amount) essaim.Amount {
	if rest, ok := a.Sub(b); ok {
		return rest
	}
	return 0
}

// BlocksLeft is how many blocks are left until the session expires; not positive:
// none.
func (s *Session) BlocksLeft(ctx context.Context) (int64, error) {
	height, err := s.cfg.Ledger.Height(ctx)
	return s.record.Expiry - height, err
}

// Close asks the coordinator to settle the session and checks what it claims against
// the receipts that this session has accepted. Closing again returns the same
// settlement.
//
// Errors: CodeConflict while pictures are being drawn; CodeRefused, with the
// settlement, if it claims more than was delivered; else the coordinator's, and the
// session stays open.
func (s *Session) Close(ctx context.Context) (essaim.Settled, error) {
	if done, err := s.beginClose(); done != nil || err != nil {
		return deref(done), err
	}
	settled, err := s.settle(ctx)
	if now, missed := s.cfg.Ledger.Session(ctx, s.record.ID); err == nil && missed == nil {
		s.raise(now.Deposit) // the payer may have topped it up elsewhere
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = false
	if err != nil {
		return essaim.Settled{}, err
	}
	s.settled = &settled
	return settled, s.checkSettled(settled)
}

func (s *Session) beginClose() (*essaim.Settled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.settled != nil:
		return s.settled, s.checkSettled(*s.settled)
	case s.closing:
		return nil, essaim.Errorf(essaim.CodeConflict, "wait for it", "session %s is being closed", s.record.ID)
	case s.drawing > 0:
		return nil, essaim.Errorf(essaim.CodeConflict, "wait for them, or cancel them", "session %s is still drawing %d pictures", s.record.ID, s.drawing)
	}
	s.closing = true
	return nil, nil
}

func (s *Session) settle(ctx context.Context) (essaim.Settled, error) {
	signed, err := essaim.SignClose(essaim.CloseRequest{ChainID: s.cfg.ChainID, Session: s.record.ID, Voucher: s.voucher()}, s.key)
	if err != nil {
		return essaim.Settled{}, essaim.Errorf(essaim.CodeInternal, "", "sign the close request: %w", err)
	}
	return s.cfg.Coordinator.Close(ctx, signed)
}

// checkSettled compares a settlement with the session's own receipts. A restored
// session does not know those since its save, so there only the deposit bounds it.
func (s *Session) checkSettled(settled essaim.Settled) error {
	refuse := func(format string, args ...any) error {
		return essaim.Errorf(essaim.CodeRefused, "keep the receipt files: they prove what was delivered", "settlement of session "+s.record.ID.String()+": "+format, args...)
	}
	bound := s.spent + s.doubtful
	if s.restored || bound > s.record.Deposit {
		bound = s.record.Deposit
	}
	var paid essaim.Amount
	for _, p := range settled.Tx.Payments {
		paid += p.Amount
	}
	switch {
	case settled.Session != s.record.ID:
		return refuse("the coordinator answers for session %s", settled.Session)
	case settled.Root.Sum() > bound:
		return refuse("it claims %s, at most %s was delivered", settled.Root.Sum(), bound)
	case paid > s.record.Deposit, len(settled.Tx.Payments) > 0 && paid < s.record.Deposit && settled.Root.Sum() <= s.spent:
		return refuse("its payments add up to %s, the deposit was %s", paid, s.record.Deposit)
	}
	return nil
}

func deref(s *essaim.Settled) essaim.Settled {
	if s == nil {
		return essaim.Settled{}
	}
	return *s
}
