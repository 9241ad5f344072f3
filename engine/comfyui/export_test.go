package comfyui

import "time"

// Quick makes the engine look often.
func (e *Engine) Quick() *Engine {
	e.look = 2 * time.Millisecond
	return e
}

// Impatient makes it give up soon, too.
func (e *Engine) Impatient() *Engine {
	e.client.Wait, e.client.Idle = 500*time.Millisecond, 300*time.Millisecond
	return e.Quick()
}

// Hasty makes it wait less for what it withdraws.
func (e *Engine) Hasty() *Engine {
	e.stop = 2 * time.Second
	return e.Quick()
}
