package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/service/api"
	"github.com/micro/micro/v3/service/server"
)

// A description is kept with the handler, and can be read from there.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	for _, e := range []*api.Endpoint{
		{Name: "Shop.Buy"},
		{Name: "Shop.Buy", Description: "Buys.", Handler: "rpc", Host: []string{"a", "b"}, Method: []string{"POST"}, Path: []string{"/buy", "/b"}, Body: "*", Stream: true},
	} {
		h := server.NewHandler("Shop", nil, api.WithEndpoint(e))
		if diff := cmp.Diff(e, api.Decode(h.Options().Metadata["Shop.Buy"])); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := api.Validate(e); err != nil {
			t.Error(err)
		}
	}
	if api.Validate(nil) == nil || api.Validate(&api.Endpoint{}) == nil {
		t.Error("an endpoint of no name is one")
	}
	if api.Encode(nil) != nil || api.Decode(nil) != nil {
		t.Error("nothing is described")
	}
}
