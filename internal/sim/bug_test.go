package sim

func bugName() string { return "" }
