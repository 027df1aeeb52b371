// Command client is the peer of `micro helloworld --name=Alice`: the same call with
// the same credentials by a program that was compiled for it.
//
//	client ADDRESS TOKEN_FILE NAME
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/micro/micro/v3/bench/peer/proto"
)

func main() {
	token, err := os.ReadFile(os.Args[2])
	if err != nil {
		fail(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fail(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(),
		"authorization", "Bearer "+strings.TrimSpace(string(token)), "micro-service", "helloworld")
	rsp, err := pb.NewHelloworldClient(conn).Call(ctx, &pb.CallRequest{Name: os.Args[3]})
	if err != nil {
		fail(err)
	}
	fmt.Printf("{\"msg\": %q}\n", rsp.GetMsg())
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
