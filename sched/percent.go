package sched

import (
	"fmt"
	"strconv"
	"strings"
)

// Percent is a part of a hundred, kept exactly: in billionths of a percent, so that what is written as decimals can be
// added up without any of it getting lost.
type Percent int64

// Percents of note.
const (
	OnePercent Percent = 1e9
	Hundred            = 100 * OnePercent
)

// percentDecimals is how many decimals a percent may have.
const percentDecimals = 9

// ParsePercent reads a decimal number such as "33.3", "100" or "5e-1" (the notation of JSON), without a percent sign.
// Whether it is between 0 and 100 is not looked at. An error says what the number has too much of.
func ParsePercent(text string) (Percent, error) {
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(text), "e")
	shift := 0
	if hasExponent {
		n, err := strconv.Atoi(exponent)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number of percent, such as 33.3", text)
		}
		shift = min(max(n, -1000), 1000)
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(mantissa, "-"), "+")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if whole == "" || dotted && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" || len(mantissa)-len(digits) > 1 {
		return 0, fmt.Errorf("%q is not a number of percent, such as 33.3", text)
	}
	all := strings.TrimLeft(whole+fraction, "0")
	decimals := len(fraction) - shift // of the last digit
	kept := strings.TrimRight(all, "0")
	decimals -= len(all) - len(kept)
	if kept == "" {
		return 0, nil
	}
	if decimals > percentDecimals {
		return 0, fmt.Errorf("%s has more than the %d decimals that a percent may have", text, percentDecimals)
	}
	const most = 15 // digits that the units of a percent fill at most: a million percent
	if len(kept)+percentDecimals-decimals > most {
		return 0, fmt.Errorf("%s is no percent: it is absurdly large", text)
	}
	n, err := strconv.ParseInt(kept+strings.Repeat("0", percentDecimals-decimals), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of percent, such as 33.3", text)
	}
	if mantissa[0] == '-' {
		n = -n
	}
	return Percent(n), nil
}

// String writes the percent as a decimal number that [ParsePercent] reads back: "33.3".
func (p Percent) String() string {
	sign, n := "", uint64(p)
	if p < 0 {
		sign, n = "-", -n
	}
	whole, fraction := n/uint64(OnePercent), n%uint64(OnePercent)
	text := sign + strconv.FormatUint(whole, 10)
	if fraction > 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%0*d", percentDecimals, fraction), "0")
	}
	return text
}

// Of gives that part of an amount.
func (p Percent) Of(amount float64) float64 { return amount * float64(p) / float64(Hundred) }
