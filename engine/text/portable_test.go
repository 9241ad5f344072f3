package text

import (
	"testing"

	"github.com/essaim/essaim/internal/portabletest"
)

func TestOtherMachines(t *testing.T) {
	portabletest.OtherMachines(t, portabletest.Binary{Folder: ".", Pattern: "^TestReference$"})
}
