package client

// TaskOption changes how one task is submitted: see [Session.Submit], [Session.SubmitFunc] and [Session.Call].
type TaskOption func(*taskConfig)

// taskConfig is what the options of one task say.
type taskConfig struct{}

// taskConfigOf gathers options; nil when there are none, so that a plain task costs nothing.
func taskConfigOf(opts []TaskOption) *taskConfig {
	if len(opts) == 0 {
		return nil
	}
	cfg := &taskConfig{}
	for _, o := range opts {
		o(cfg)
	}
	return cfg
}
