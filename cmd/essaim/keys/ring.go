package keys

import (
	"errors"
	"fmt"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/essaim/essaim"
)

// service is the program's name in a keyring.
const service = "essaim"

// ringTime is how long a keyring may take: it may show a person a window that asks to unlock it.
const ringTime = 30 * time.Second

// ask does what a keyring is asked for, and does not wait for ever for one that hangs.
func ask(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	limit := time.NewTimer(ringTime)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return fmt.Errorf("it did not answer in %s", ringTime)
	}
}

// remembered looks an account's passphrase up. Without a keyring, or without an entry, there is
// none: the caller goes on to other places.
func remembered(a essaim.Address) (string, bool) {
	var pass string
	err := ask(func() (err error) {
		pass, err = keyring.Get(service, a.String())
		return err
	})
	return pass, err == nil
}

func remember(a essaim.Address, pass string) error {
	return ringError(ask(func() error { return keyring.Set(service, a.String(), pass) }))
}

func forget(a essaim.Address) error {
	return ringError(ask(func() error { return keyring.Delete(service, a.String()) }))
}

func ringError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return essaim.Errorf(essaim.CodeNotFound, "`essaim keys remember` keeps one", "the keyring has no passphrase of this key")
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return essaim.Errorf(essaim.CodeBadInput, "use --passphrase-file", "the passphrase is too long for the keyring")
	}
	return essaim.Errorf(essaim.CodeUnavailable, "without a desktop session there is none: use --passphrase-file, a file that only you can read", "no keyring can be used here: %w", err)
}
