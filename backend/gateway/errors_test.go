package gateway

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/service/errors"
)

// An error of the framework is answered with the status that it has, in the name of who
// returned it.
func TestErrorsOfTheFramework(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.BadRequest("accounts", "why"), `{"id":"accounts","code":400,"detail":"why","status":"Bad Request","grpc":"InvalidArgument","reason":"BAD_REQUEST"}`},
		{errors.MethodNotAllowed("accounts", "why"), `{"id":"accounts","code":405,"detail":"why","status":"Method Not Allowed","grpc":"Unimplemented","reason":"METHOD_NOT_ALLOWED"}`},
		{errors.Timeout("accounts", "why"), `{"id":"accounts","code":408,"detail":"why","status":"Request Timeout","grpc":"DeadlineExceeded","reason":"REQUEST_TIMEOUT"}`},
		{errors.BadGateway("accounts", "why"), `{"id":"accounts","code":502,"detail":"why","status":"Bad Gateway","grpc":"Unavailable","reason":"BAD_GATEWAY"}`},
		{errors.New("accounts", "why", 418), `{"id":"accounts","code":418,"detail":"why","status":"I'm a teapot","grpc":"InvalidArgument","reason":"IM_A_TEAPOT"}`},
		// What is no error of HTTP is not believed.
		{errors.New("accounts", "why", 200), `{"id":"micro.gateway","code":500,"detail":"why","status":"Internal Server Error","grpc":"Unknown","reason":"OK"}`},
		{withStatus(t, "600"), `{"id":"micro.gateway","code":404,"detail":"why","status":"Not Found","grpc":"NotFound","reason":"GONE"}`},
		{withStatus(t, "x"), `{"id":"micro.gateway","code":404,"detail":"why","status":"Not Found","grpc":"NotFound","reason":"GONE"}`},
		{withStatus(t, ""), `{"id":"micro.gateway","code":404,"detail":"why","status":"Not Found","grpc":"NotFound","reason":"GONE"}`},
	} {
		if got := string(fromStatus(tt.err).json()); got != tt.want {
			t.Errorf("%v is answered with\n%s, want\n%s", tt.err, got, tt.want)
		}
	}
}

func withStatus(t *testing.T, code string) error {
	t.Helper()
	st, err := status.New(codes.NotFound, "why").WithDetails(&errdetails.ErrorInfo{
		Domain: "x", Reason: "GONE", Metadata: map[string]string{"http_status": code},
	})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}
