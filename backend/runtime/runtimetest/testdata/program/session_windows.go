package main

import "errors"

func session() error { return errors.New("there are no sessions") }

func group() error { return errors.New("there are no groups") }
