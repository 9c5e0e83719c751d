package main

import (
	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// placeFlags say where the containers of a session are to run, and which queue is charged for them.
type placeFlags struct {
	spec   protocol.OpenSession // only what the flags set
	prefer bool
}

func (f *placeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.spec.Queue, "queue", "", "queue that is charged, a leaf (default that of the service)")
	flags.StringVar(&f.spec.NodeType, "node-type", "", "cpu or gpu; a node with GPUs does for cpu when no other has room")
	flags.IntVar(&f.spec.Nodes, "nodes", 0, "least number of distinct nodes")
	flags.StringVar(&f.spec.Node, "node", "", "name of the only node that may do")
	flags.StringVar(&f.spec.Rack, "rack", "", "name of the only rack that may do")
	flags.BoolVar(&f.prefer, "prefer", false, "--node or --rack is what is preferred: without room there, another place does")
	flags.IntVar(&f.spec.Priority, "priority", 0, "of its containers among those of the service, the higher first")
}

// check names the first flag that cannot be.
func (f *placeFlags) check() error {
	f.spec.Relax = f.prefer
	switch err := f.spec.Request().Check(); {
	case f.prefer && f.spec.Node == "" && f.spec.Rack == "":
		return badInput("--prefer: names no place; give --node or --rack as well")
	case f.spec.Queue != "" && !protocol.ValidName(f.spec.Queue):
		return badInput("--queue: %q is not the name of a queue", f.spec.Queue)
	case f.spec.NodeType != "" && f.spec.NodeType != protocol.NodeTypeCPU && f.spec.NodeType != protocol.NodeTypeGPU:
		return badInput("--node-type: %q is neither %s nor %s", f.spec.NodeType, protocol.NodeTypeCPU, protocol.NodeTypeGPU)
	case err != nil: // the other flags have the names of their fields
		return badInput("--%w", err)
	}
	return nil
}

// options give what the flags say.
func (f *placeFlags) options() []client.SessionOption {
	opts := []client.SessionOption{
		client.WithQueue(f.spec.Queue), client.WithNodeType(f.spec.NodeType), client.WithNodes(f.spec.Nodes),
		client.WithContainerPriority(f.spec.Priority),
	}
	where := client.InRack(f.spec.Rack)
	if f.spec.Node != "" {
		where = client.OnNode(f.spec.Node)
	}
	if f.prefer {
		where = where.Preferred()
	}
	return append(opts, client.WithLocation(where))
}
