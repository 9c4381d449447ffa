package estimate

import (
	"net"
	"testing"
)

func TestAMachineIsBusyByItsLoadAndCores(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"9.12 4.00 2.00 3/500 77\n": "a load of 9 on 2 cores", "2.90 9.00 9.00 1/1 1": "", "": "", "none": ""} {
		if got := busyBy(text, 2); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, a := range []net.Addr{&net.UnixAddr{}, &net.TCPAddr{IP: net.IPv6loopback}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}} {
		if !here(a) {
			t.Errorf("%v is somewhere else", a)
		}
	}
	if here(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}) {
		t.Error("10.0.0.1 is here")
	}
}
