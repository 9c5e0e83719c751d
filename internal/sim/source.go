package sim

import "time"

// source draws numbers: one stream of a seed (SplitMix64). Each subject of a world has a stream of its own, so that
// what one subject draws does not change what another draws.
type source struct{ state uint64 }

func newSource(seed, stream uint64) source {
	s := source{seed*0x9e3779b97f4a7c15 ^ stream*0xd1342543de82ef95}
	s.next()
	return s
}

func (s *source) next() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// n draws from 0 to n-1; n must be above 0.
func (s *source) n(n int) int { return int(s.next() >> 33 * uint64(n) >> 31) }

// between draws from low to high.
func (s *source) between(low, high int) int { return low + s.n(high-low+1) }

// chance says yes in so many of 1000 cases.
func (s *source) chance(perMille int) bool { return perMille > 0 && s.n(1000) < perMille }

// span draws a time from low up to high.
func (s *source) span(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(s.next()%uint64(high-low))
}

// unit draws from [0, 1).
func (s *source) unit() float64 { return float64(s.next()>>11) / (1 << 53) }
