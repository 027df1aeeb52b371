package wire

import (
	"math"
	"strconv"
	"testing"
)

func TestLexNumber(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want int
	}{
		{"", 0},
		{"-", 0},
		{"0", 1},
		{"-0", 2},
		{"12,", 2},
		{"12 ", 2},
		{"01", 0},
		{"1.5]", 3},
		{"1.", 0},
		{".5", 0},
		{"1.e1", 0},
		{"1e5}", 3},
		{"1E+5", 4},
		{"1e-", 0},
		{"1e", 0},
		{"1e,", 2}, // as protojson has it
		{"1e+,", 3},
		{"1x", 0},
		{"1_0", 0},
		{"--1", 0},
		{"+1", 0},
		{"NaN", 0},
	}
	for _, test := range tests {
		if got := lexNumber([]byte(test.in)); got != test.want {
			t.Errorf("%q: got %d, want %d", test.in, got, test.want)
		}
	}
}

func TestInteger(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want string // empty when it is no integer
	}{
		{"0", "0"},
		{"-0", "0"},
		{"-0.0", "0"},
		{"0e999999999999", "0"},
		{"1.0", "1"},
		{"-1.000e0", "-1"},
		{"100e-2", "1"},
		{"101e-2", ""},
		{"1e3", "1000"},
		{"1.5e1", "15"},
		{"1.55e1", ""},
		{"0.5e1", "5"},
		{"1e", "1"},
		{"1e+", ""},
		{"1e99999999999", ""},
		{"18446744073709551615", "18446744073709551615"},
		{"18446744073709551616", ""},
		{"1844674407370955161.5e1", "18446744073709551615"},
		{"1844674407370955161.6e1", ""},
		{"99999999999999999999", ""},
		{"1e19", "10000000000000000000"},
		{"2e19", ""},
		{"1e20", ""},
		{"-9223372036854775808", "-9223372036854775808"},
		{"1e-1", ""},
		{"10e-1", "1"},
		{"10e-2", ""},
		{"0.1", ""},
	}
	for _, test := range tests {
		magnitude, negative, ok := integer([]byte(test.in))
		got := ""
		if ok {
			got = strconv.FormatUint(magnitude, 10)
			if negative {
				got = "-" + got
			}
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.in, got, test.want)
		}
	}
}

func TestIntegerLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		bits uint
		ok   bool
	}{
		{"2147483647", 32, true},
		{"2147483648", 32, false},
		{"-2147483648", 32, true},
		{"-2147483649", 32, false},
		{"9223372036854775807", 64, true},
		{"9223372036854775808", 64, false},
		{"-9223372036854775808", 64, true},
		{"-9223372036854775809", 64, false},
	} {
		n, ok := signed([]byte(test.in), test.bits)
		if ok != test.ok {
			t.Errorf("%s in %d bits: got %t, want %t", test.in, test.bits, ok, test.ok)
		}
		if want, err := strconv.ParseInt(test.in, 10, 64); ok && (err != nil || n != want) {
			t.Errorf("%s: got %d", test.in, n)
		}
	}
	for _, test := range []struct {
		in   string
		bits uint
		ok   bool
	}{
		{"4294967295", 32, true},
		{"4294967296", 32, false},
		{"-1", 32, false},
		{"-0", 32, true},
		{"18446744073709551615", 64, true},
	} {
		if _, ok := unsigned([]byte(test.in), test.bits); ok != test.ok {
			t.Errorf("%s in %d bits without sign: got %t, want %t", test.in, test.bits, ok, test.ok)
		}
	}
}

func TestAppendFloat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   float64
		bits int
		want string
	}{
		{0, 64, "0"},
		{math.Copysign(0, -1), 64, "-0"},
		{0.1, 64, "0.1"},
		{float64(float32(0.1)), 32, "0.1"},
		{1e-7, 64, "1e-7"},
		{1e-10, 64, "1e-10"},
		{1e20, 64, "100000000000000000000"},
		{1e21, 64, "1e+21"},
		{1e21, 32, "1e+21"},
		{5e-324, 64, "5e-324"},
		{math.NaN(), 64, `"NaN"`},
		{math.Inf(1), 32, `"Infinity"`},
		{math.Inf(-1), 64, `"-Infinity"`},
	}
	for _, test := range tests {
		if got := string(appendFloat(nil, test.in, test.bits)); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}
