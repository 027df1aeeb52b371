package logger_test

import (
	"os"

	"github.com/micro/micro/v3/service/logger"
)

func Example() {
	logger.Infof("greeting %s", "Alice")
	logger.Default().Info("greeting", "name", "Alice")
}

// A program that does not want the environment to decide sets up its own.
func ExampleNew() {
	l := logger.New(os.Stderr, func(name string) string {
		return map[string]string{"MICRO_LOG_FORMAT": "json"}[name]
	})
	l.Info("greeting", "name", "Alice")
}
