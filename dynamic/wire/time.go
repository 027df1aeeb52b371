package wire

import (
	"bytes"
	"strconv"
	"time"
)

// Limits of google.protobuf.Timestamp and Duration.
const (
	minTimestamp = -62135596800 // 0001-01-01T00:00:00Z
	maxTimestamp = 253402300799 // 9999-12-31T23:59:59Z
	maxDuration  = 315576000000
	maxNanos     = 999999999

	secondsPerDay = 24 * 60 * 60
	daysToEpoch   = 719162 // from 0001-01-01 to 1970-01-01
)

// parseTimestamp returns the seconds since 1970 and the nanoseconds of a time as
// RFC 3339 has it.
func parseTimestamp(b []byte) (int64, int32, bool) {
	seconds, nanos, ok := parseRFC3339(b)
	if !ok {
		// Package time takes more than the RFC allows, as protojson does.
		t, err := time.ParseInLocation(time.RFC3339Nano, string(b), time.UTC)
		if err != nil || tooPrecise(b) {
			return 0, 0, false
		}
		seconds, nanos = t.Unix(), int32(t.Nanosecond())
	}
	return seconds, nanos, minTimestamp <= seconds && seconds <= maxTimestamp
}

// tooPrecise reports whether there are more than nine digits behind the point.
func tooPrecise(b []byte) bool {
	point, zone := bytes.LastIndexByte(b, '.'), bytes.LastIndexAny(b, "Z-+")
	return point >= 0 && zone >= point && zone-point > len(".999999999")
}

// parseRFC3339 understands what machines write, and nothing that package time
// understands differently.
func parseRFC3339(b []byte) (seconds int64, nanos int32, ok bool) {
	const layout = "2006-01-02T15:04:05"
	if len(b) <= len(layout) || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return 0, 0, false
	}
	year, ok1 := decimal(b[0:4])
	month, ok2 := decimal(b[5:7])
	day, ok3 := decimal(b[8:10])
	hour, ok4 := decimal(b[11:13])
	minute, ok5 := decimal(b[14:16])
	second, ok6 := decimal(b[17:19])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 ||
		month < 1 || month > 12 || day < 1 || day > daysIn(month, year) || hour > 23 || minute > 59 || second > 59 {
		return 0, 0, false
	}
	b = b[len(layout):]
	if b[0] == '.' {
		i, n := 1, int32(0)
		for i < len(b) && isDigit(b[i]) {
			if i > 9 {
				return 0, 0, false
			}
			n = n*10 + int32(b[i]-'0')
			i++
		}
		if i == 1 {
			return 0, 0, false
		}
		for range 10 - i {
			n *= 10
		}
		nanos, b = n, b[i:]
	}
	offset := 0
	switch {
	case len(b) == 1 && b[0] == 'Z':
	case len(b) == len("+00:00") && (b[0] == '+' || b[0] == '-') && b[3] == ':':
		h, ok1 := decimal(b[1:3])
		m, ok2 := decimal(b[4:6])
		if !ok1 || !ok2 || h > 23 || m > 59 {
			return 0, 0, false
		}
		offset = (h*60 + m) * 60
		if b[0] == '-' {
			offset = -offset
		}
	default:
		return 0, 0, false
	}
	days := daysBefore(year) + dayOfYear(year, month, day) - daysToEpoch
	return int64(days)*secondsPerDay + int64(hour*3600+minute*60+second-offset), nanos, true
}

// decimal returns the value of digits.
func decimal(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(month, year int) int {
	switch month {
	case 2:
		if isLeap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

// daysBefore returns the days from 0001-01-01 to the first of a year; the years
// before that count as those of the calendar's rules.
func daysBefore(year int) int {
	if year == 0 {
		return -366
	}
	y := year - 1
	return y*365 + y/4 - y/100 + y/400
}

// dayOfYear returns the days since the first of January.
func dayOfYear(year, month, day int) int {
	n := day - 1
	for m := 1; m < month; m++ {
		n += daysIn(m, year)
	}
	return n
}

// appendTimestamp appends seconds since 1970 and nanoseconds, which must be
// within the limits, as a JSON string.
func appendTimestamp(dst []byte, seconds int64, nanos int32) []byte {
	seconds += daysToEpoch * secondsPerDay
	days, second := int(seconds/secondsPerDay), int(seconds%secondsPerDay)

	// 400 years have as many days each time, and so, but for their last, have
	// the 100 years, the 4 years and the years in them.
	year := 1 + days/146097*400
	days %= 146097
	n := min(days/36524, 3)
	year, days = year+n*100, days-n*36524
	n = days / 1461
	year, days = year+n*4, days-n*1461
	n = min(days/365, 3)
	year, days = year+n, days-n*365

	month := 1
	for days >= daysIn(month, year) {
		days -= daysIn(month, year)
		month++
	}
	dst = append(dst, '"')
	dst = appendDecimal(dst, year, 4)
	dst = append(dst,
		'-', '0'+byte(month/10), '0'+byte(month%10),
		'-', '0'+byte((days+1)/10), '0'+byte((days+1)%10),
		'T', '0'+byte(second/36000), '0'+byte(second/3600%10),
		':', '0'+byte(second/600%6), '0'+byte(second/60%10),
		':', '0'+byte(second%60/10), '0'+byte(second%10),
	)
	dst = appendNanos(dst, nanos)
	return append(dst, 'Z', '"')
}

// appendDecimal appends n with so many digits.
func appendDecimal(dst []byte, n, digits int) []byte {
	for range digits {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; n > 0; i-- {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
	return dst
}

// appendNanos appends a fraction of a second with three, six or nine digits, and
// nothing when it is zero.
func appendNanos(dst []byte, nanos int32) []byte {
	switch {
	case nanos == 0:
		return dst
	case nanos%1e6 == 0:
		return appendDecimal(append(dst, '.'), int(nanos/1e6), 3)
	case nanos%1e3 == 0:
		return appendDecimal(append(dst, '.'), int(nanos/1e3), 6)
	default:
		return appendDecimal(append(dst, '.'), int(nanos), 9)
	}
}

// parseDuration returns the seconds and nanoseconds, of one sign, of a decimal
// number of seconds with the suffix s.
func parseDuration(b []byte) (int64, int32, bool) {
	if len(b) < 2 || b[len(b)-1] != 's' {
		return 0, 0, false
	}
	b = b[:len(b)-1]
	negative := b[0] == '-'
	if negative || b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, 0, false
	}
	i := 0
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	if i > 1 && b[0] == '0' {
		return 0, 0, false
	}
	var seconds int64
	if i > 0 {
		var err error
		if seconds, err = strconv.ParseInt(string(b[:i]), 10, 64); err != nil {
			return 0, 0, false
		}
	}
	nanos := 0
	if fraction := b[i:]; len(fraction) > 0 {
		var ok bool
		if nanos, ok = decimal(fraction[1:]); !ok || fraction[0] != '.' || len(fraction) > len(".999999999") {
			return 0, 0, false
		}
		for range len(".999999999") - len(fraction) {
			nanos *= 10
		}
	}
	if negative {
		seconds, nanos = -seconds, -nanos
	}
	return seconds, int32(nanos), -maxDuration <= seconds && seconds <= maxDuration
}

// appendDuration appends seconds and nanoseconds, which must be within the
// limits and of one sign, as a JSON string.
func appendDuration(dst []byte, seconds int64, nanos int32) []byte {
	dst = append(dst, '"')
	if seconds < 0 || nanos < 0 {
		dst = append(dst, '-')
		seconds, nanos = -seconds, -nanos
	}
	dst = strconv.AppendInt(dst, seconds, 10)
	dst = appendNanos(dst, nanos)
	return append(dst, 's', '"')
}
