package control

import (
	"github.com/weft-fabric/weft/protocol"
)

// handler serves one kind of record. An error is the answer to the request.
type handler struct {
	role  string // who may send it; empty: everybody
	serve func(c *Core, p *party, r *protocol.Record) error
}

// handlerOf gives the handler of a kind; ok is false for a kind that is not one of the control plane's towards the
// broker.
func handlerOf(k protocol.Kind) (h handler, ok bool) {
	switch k {
	case protocol.KindBye:
		return handler{"", func(c *Core, p *party, _ *protocol.Record) error { c.lobby.bye(p); return nil }}, true
	case protocol.KindError:
		// A peer that refuses what the broker told it has its own reasons; there is nothing to answer.
		return handler{"", func(*Core, *party, *protocol.Record) error { return nil }}, true
	case protocol.KindOpenSession:
		return handler{protocol.RoleClient, openSession}, true
	case protocol.KindCloseSession:
		return handler{protocol.RoleClient, closeSession}, true
	case protocol.KindAttachSession:
		return handler{protocol.RoleClient, attachSession}, true
	case protocol.KindDetachSession:
		return handler{protocol.RoleClient, detachSession}, true
	case protocol.KindSteerSession:
		return handler{protocol.RoleClient, steerSession}, true
	case protocol.KindRegisterService:
		return handler{protocol.RoleClient, registerService}, true
	case protocol.KindDeregisterService:
		return handler{protocol.RoleClient, deregisterService}, true
	case protocol.KindMoveService:
		return handler{protocol.RoleClient, moveService}, true
	case protocol.KindRestartService:
		return handler{protocol.RoleClient, restartService}, true
	case protocol.KindListServices:
		return handler{protocol.RoleClient, listServices}, true
	case protocol.KindListSessions:
		return handler{protocol.RoleClient, listSessions}, true
	case protocol.KindListNodes:
		return handler{protocol.RoleClient, listNodes}, true
	case protocol.KindCreateEnvironment:
		return handler{protocol.RoleClient, createEnvironment}, true
	case protocol.KindDeleteEnvironment:
		return handler{protocol.RoleClient, deleteEnvironment}, true
	case protocol.KindListEnvironments:
		return handler{protocol.RoleClient, listEnvironments}, true
	case protocol.KindGetTask:
		return handler{protocol.RoleClient, getTask}, true
	case protocol.KindCancelTask:
		return handler{protocol.RoleClient, cancelTask}, true
	case protocol.KindListTasks:
		return handler{protocol.RoleClient, listTasks}, true
	case protocol.KindGetStats:
		return handler{protocol.RoleClient, getStats}, true
	case protocol.KindListEvents:
		return handler{protocol.RoleClient, listEvents}, true
	case protocol.KindListDead:
		return handler{protocol.RoleClient, listDead}, true
	case protocol.KindGetDead:
		return handler{protocol.RoleClient, getDead}, true
	case protocol.KindDropDead:
		return handler{protocol.RoleClient, dropDead}, true
	case protocol.KindRegisterNode:
		return handler{protocol.RoleAgent, registerNode}, true
	case protocol.KindNodeStatus:
		return handler{protocol.RoleAgent, nodeStatus}, true
	case protocol.KindContainerState:
		return handler{protocol.RoleAgent, containerState}, true
	case protocol.KindInstanceFailed:
		return handler{protocol.RoleInstance, instanceFailed}, true
	default:
		return handlerOfResources(k)
	}
}

// handlerOfResources is [handlerOf] for queues, nodes and the state of the whole.
func handlerOfResources(k protocol.Kind) (h handler, ok bool) {
	switch k {
	case protocol.KindApplyQueues:
		return handler{protocol.RoleClient, applyQueues}, true
	case protocol.KindListQueues:
		return handler{protocol.RoleClient, listQueues}, true
	case protocol.KindDrainQueue:
		return handler{protocol.RoleClient, drainQueue}, true
	case protocol.KindCordonNode:
		return handler{protocol.RoleClient, cordonNode}, true
	case protocol.KindGetOverview:
		return handler{protocol.RoleClient, getOverview}, true
	case protocol.KindExplain:
		return handler{protocol.RoleClient, explain}, true
	default:
		return handler{}, false
	}
}

// serve serves one record of a party.
func serve(c *Core, p *party, r *protocol.Record) error {
	h, ok := handlerOf(r.Kind)
	switch {
	case !ok:
		return protocol.Errorf(protocol.CodeUnknownKind, "control", "%v is not a request that a broker knows on a control connection", r.Kind)
	case h.role != "" && h.role != p.hello.Role:
		return protocol.Errorf(protocol.CodePermission, r.Kind.String(), "only a peer of role %s may send it, and the role of this one is %s", h.role, p.hello.Role)
	case r.External:
		return protocol.Errorf(protocol.CodeInvalid, r.Kind.String(), "its payload of %d bytes came in a frame of its own; control records carry theirs inline", r.Size)
	}
	return h.serve(c, p, r)
}

// body decodes the body of a record.
func body[T any](r *protocol.Record) (*T, error) {
	v := new(T)
	if err := protocol.Unmarshal(r.Kind, r.Payload, v); err != nil {
		return nil, err
	}
	return v, nil
}

func registerService(c *Core, p *party, r *protocol.Record) error {
	s, err := body[protocol.Service](r)
	if err != nil {
		return err
	}
	if s.Limits.Payload == 0 {
		s.Limits.Payload = min(protocol.DefaultMaxPayload, c.cfg.MaxPayload)
	}
	if s.Limits.Payload > c.cfg.MaxPayload {
		return protocol.Errorf(protocol.CodeInvalid, "service "+s.Name, "limits.payload: %d bytes is above the broker's limit of %d", s.Limits.Payload, c.cfg.MaxPayload)
	}
	if size := len(protocol.Marshal(s)); size > protocol.MaxService {
		return protocol.Errorf(protocol.CodeInvalid, "service "+cut(s.Name), "its description has %d bytes, at most %d are allowed", size, protocol.MaxService)
	}
	if err := c.queues.shape(s); err != nil {
		return err
	}
	full := s.WithDefaults()
	if err := c.hosts.satisfiable(full); err != nil {
		return err
	}
	if err := full.Validate(); err != nil {
		return err
	}
	if err := c.managers.checkQueue("service "+s.Name, full.Queue); err != nil {
		return err
	}
	if err := c.managers.learn(full.Requests[0].Capacity); err != nil {
		return protocol.Errorf(protocol.CodeInvalid, "service "+s.Name, "requests[0].%v", err)
	}
	e, added, err := c.catalogue.Add(c.now, *s)
	if err != nil {
		return alsoUsed(c.managers, err, s)
	}
	if added {
		c.out.record(&Record{At: c.now, Register: &e.Service})
	}
	// The same content once more: its record may still be on its way, and is not above this position.
	p.answer(c.out, c.out.position, protocol.KindDone, r.Task, nil)
	return nil
}

func deregisterService(c *Core, p *party, r *protocol.Record) error {
	ref, err := body[protocol.ServiceRef](r)
	if err != nil {
		return err
	}
	entries, err := c.catalogue.Find(*ref)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if used := usedBy(c.managers, e); used != "" {
			return protocol.Errorf(protocol.CodeInUse, "deregister", "version %s of service %s has %s", e.Service.Version, e.Service.Name, used)
		}
	}
	for _, e := range entries {
		c.managers.dissolve(e)
		c.catalogue.Remove(e)
		c.statistics.forget(&e.Service)
		c.out.record(&Record{At: c.now, Deregister: &protocol.ServiceRef{Name: e.Service.Name, Version: e.Service.Version}})
	}
	p.answer(c.out, c.out.position, protocol.KindDone, r.Task, nil)
	return nil
}
