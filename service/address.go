package service

import (
	"fmt"
	"net"
	"strconv"
)

// alone is where a service listens when nobody tells it.
const alone = "127.0.0.1:0"

// resolveAddress returns where to listen: where the platform says that it calls
// the service, else what the program says, else what the environment says, else a
// free port of this machine. The source tells which, for people; it is empty in
// the last case.
func resolveAddress(explicit string, getenv func(string) string) (address, source string, err error) {
	switch {
	case getenv("MICRO_ADDRESS") != "":
		address, source = getenv("MICRO_ADDRESS"), "MICRO_ADDRESS"
	case explicit != "":
		address, source = explicit, "the option Address"
	case getenv("MICRO_SERVICE_ADDRESS") != "":
		address, source = getenv("MICRO_SERVICE_ADDRESS"), "MICRO_SERVICE_ADDRESS"
	case getenv("PORT") != "":
		port := getenv("PORT")
		if !validPort(port) {
			return "", "", fmt.Errorf("PORT is %q: it must be a number from 0 to 65535", port)
		}
		return ":" + port, "PORT", nil
	default:
		return alone, "", nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || !validPort(port) {
		return "", "", fmt.Errorf("%s is %q: it must be host:port with a port from 0 to 65535", source, address)
	}
	return address, source, nil
}

func validPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}
