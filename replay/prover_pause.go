package replay

import (
	"context"
	"time"
)

// enter waits until the prover is not paused.
func (p *Prover) enter(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	for {
		n, resume := p.begin(cancel)
		if resume == nil {
			return ctx, func() { p.end(n) }, nil
		}
		select {
		case <-resume:
		case <-ctx.Done():
			cancel()
			return ctx, nil, ctx.Err()
		}
	}
}

// begin notes what is under way, or returns what to wait for.
func (p *Prover) begin(cancel context.CancelFunc) (n int, resume <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused > 0 {
		return 0, p.resume
	}
	p.last++
	p.cancels[p.last] = cancel
	return p.last, nil
}

func (p *Prover) end(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancels[n]()
	delete(p.cancels, n)
	p.idle.Broadcast()
}

// patience is how long a pause waits for what is under way before it ends it.
const patience = 2 * time.Second

// Pause keeps the prover from beginning anything until it is resumed, and ends what
// is under way: behind the fence its snapshots and locks would be waited for. It may
// be paused while it is.
func (p *Prover) Pause() (resume func()) {
	timer := time.AfterFunc(patience, p.interrupt)
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused++; p.paused == 1 {
		p.resume = make(chan struct{})
	}
	for len(p.cancels) > 0 {
		p.idle.Wait()
	}
	return p.goOn
}

func (p *Prover) goOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused--; p.paused == 0 {
		p.read = time.Time{}
		close(p.resume)
	}
}

func (p *Prover) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.cancels {
		cancel()
	}
}
