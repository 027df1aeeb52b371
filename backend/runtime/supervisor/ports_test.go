package supervisor

import "testing"

func TestPorts(t *testing.T) {
	t.Parallel()
	p := &ports{used: map[int]bool{}}
	seen := map[int]bool{}
	for range 200 {
		port, err := p.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] || port < minPort || port > maxPort {
			t.Fatalf("port %d was given twice, or is out of range", port)
		}
		seen[port] = true
	}
}
