package cutover

import "math/big"

// passed tells whether clients have left behind them where the migrations set a
// sequence, RESTART WITH 1000, say, by what they drew from production's since the
// plan was made: it goes on with production's then, for these numbers are in use.
// A sequence that the migrations set back is set back: in place they would hand
// out the numbers between again too.
func (s succession) passed(last int64, called bool) bool {
	if last == s.plan.ProductionLast && called == s.plan.ProductionCalled {
		return false
	}
	set := s.target.next(s.plan.LastValue, s.plan.IsCalled)
	was := s.target.next(s.plan.ProductionLast, s.plan.ProductionCalled)
	return set.Cmp(was) >= 0 && s.target.next(last, called).Cmp(set) > 0
}

// next number after a standing, so that a greater one comes later.
func (s counter) next(last int64, called bool) *big.Int {
	step, n := big.NewInt(s.Increment), big.NewInt(last)
	if called {
		n.Add(n, step)
	}
	return n.Mul(n, big.NewInt(int64(step.Sign())))
}
