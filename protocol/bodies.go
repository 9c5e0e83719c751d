package protocol

// Kinds gives all kinds, in ascending order.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kindNames))
	for k := range Kind(128) {
		if k.Known() {
			all = append(all, k)
		}
	}
	return all
}

// Codes gives all codes, in ascending order.
func Codes() []Code {
	all := make([]Code, 0, len(codes))
	for c := CodeInvalid; c <= CodeInternal; c++ {
		if _, ok := codes[c]; ok {
			all = append(all, c)
		}
	}
	return all
}

// NewBody gives a pointer to an empty body of the type that records of kind k carry, for [Unmarshal]. It is nil for
// kinds whose payload is empty or the application's own.
func NewBody(k Kind) any {
	switch k {
	case KindHello:
		return new(Hello)
	case KindWelcome:
		return new(Welcome)
	case KindRefer:
		return new(Refer)
	case KindError, KindFailure, KindRefused, KindInstanceFailed, KindAbort:
		return new(Error)
	case KindBind:
		return new(Bind)
	case KindOpenSession:
		return new(OpenSession)
	case KindSessionOpened:
		return new(SessionOpened)
	case KindCloseSession:
		return new(CloseSession)
	case KindSessionState:
		return new(SessionState)
	case KindRegisterService:
		return new(Service)
	case KindDeregisterService:
		return new(ServiceRef)
	case KindListServices, KindListSessions, KindListNodes, KindListEnvironments, KindListEvents, KindListTasks, KindListDead, KindListQueues:
		return new(ListRequest)
	case KindServicePage:
		return new(ServicePage)
	case KindSessionPage:
		return new(SessionPage)
	case KindNodePage:
		return new(NodePage)
	case KindMoveService:
		return new(MoveService)
	case KindRestartService:
		return new(RestartService)
	case KindCreateEnvironment:
		return new(Environment)
	case KindDeleteEnvironment:
		return new(DeleteEnvironment)
	case KindEnvironmentPage:
		return new(EnvironmentPage)
	case KindEventPage:
		return new(EventPage)
	case KindRegisterNode:
		return new(RegisterNode)
	case KindNodeStatus:
		return new(NodeStatus)
	case KindStartContainer:
		return new(StartContainer)
	case KindStopContainer:
		return new(StopContainer)
	case KindContainerState:
		return new(ContainerState)
	default:
		return newTaskBody(k)
	}
}

// newTaskBody is [NewBody] for what is said of single tasks and of what sessions hold.
func newTaskBody(k Kind) any {
	switch k {
	case KindProgress:
		return new(Progress)
	case KindPartialGrant:
		return new(PartialGrant)
	case KindPutData:
		return new(PutData)
	case KindGetData:
		return new(GetData)
	case KindSessionData:
		return new(SessionData)
	case KindTaken:
		return new(Taken)
	case KindAttachSession:
		return new(AttachSession)
	case KindDetachSession:
		return new(DetachSession)
	case KindSteerSession:
		return new(SteerSession)
	case KindCancelTask, KindGetTask:
		return new(TaskRef)
	case KindTaskInfo:
		return new(TaskInfo)
	case KindTaskPage:
		return new(TaskPage)
	case KindDeadPage:
		return new(DeadPage)
	case KindGetDead:
		return new(GetDead)
	case KindDeadPart:
		return new(DeadPart)
	case KindDropDead:
		return new(DropDead)
	case KindDeadDropped:
		return new(DeadDropped)
	case KindGetStats:
		return new(GetStats)
	case KindStats:
		return new(Stats)
	default:
		return newQueueBody(k)
	}
}

// newQueueBody is [NewBody] for queues, nodes and the state of the whole.
func newQueueBody(k Kind) any {
	switch k {
	case KindApplyQueues:
		return new(ApplyQueues)
	case KindQueuesApplied:
		return new(QueuesApplied)
	case KindQueuePage:
		return new(QueuePage)
	case KindDrainQueue:
		return new(DrainQueue)
	case KindCordonNode:
		return new(CordonNode)
	case KindOverview:
		return new(Overview)
	case KindExplain:
		return new(Explain)
	case KindExplained:
		return new(Explained)
	default:
		return nil
	}
}
