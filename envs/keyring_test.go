package envs

func childKeyring([]string) error { return nil }
