package protocol

import "fmt"

// Kind says what a record is. Kinds are fixints (0 to 127); an unknown kind is refused with [CodeUnknownKind], the
// frame's other records are still served. Numbers are never used again for something else.
type Kind uint8

// Kinds of both planes.
const (
	KindHeader  Kind = 0 // first record of every frame
	KindHello   Kind = 1 // body Hello: who the sender is; the conversation begins anew
	KindWelcome Kind = 2 // body Welcome: the answer to Hello
	KindRehello Kind = 3 // no body: say Hello again and send again what is unfinished
	KindRefer   Kind = 4 // body Refer: where a session or a service is served
	KindError   Kind = 5 // body Error: the refusal of the request with this id
	KindBye     Kind = 6 // no body: the sender leaves in order; nothing of it is to be waited for
	KindDone    Kind = 7 // no body: the request with this id was carried out
)

// Kinds of the data plane. Between client and manager the task field is a TaskID; between manager and instance it is
// generation << 32 | slot of the manager's slab.
const (
	KindTask     Kind = 16 // client to manager: run this payload; last element, optional: a map of options
	KindDispatch Kind = 17 // manager to instance: run this payload; last element: the client's task id, or a map
	KindResult   Kind = 18 // the task's result
	KindFailure  Kind = 19 // body Error: the task failed
	KindCredit   Kind = 20 // client to manager: task field = bytes of results consumed since Hello
	KindRecall   Kind = 21 // manager to instance: give back this task if it has not started
	KindRecalled Kind = 22 // instance to manager: the task had not started and will not
	KindBind     Kind = 23 // manager to instance, body Bind: hold this session
	KindBound    Kind = 24 // instance to manager: OnSessionBind returned nil
	KindRefused  Kind = 25 // instance to manager, body Error: OnSessionBind failed
	KindUnbind   Kind = 26 // manager to instance: let this session go
	KindUnbound  Kind = 27 // instance to manager: OnSessionUnbind returned
	KindExecuted Kind = 28 // instance to manager: session field = tasks executed, task field = nanoseconds they took together
	KindDrain    Kind = 29 // instance to manager: give me nothing more; answered by Unbind of every session
	KindLeave    Kind = 30 // manager to instance: run OnDestroyService and end; with a body Error: end at once
)

// Kinds of the control plane. The task field is the request id, which the answer repeats; pushes have id 0.
const (
	KindOpenSession   Kind = 32 // client: OpenSession; answer SessionOpened
	KindSessionOpened Kind = 33 // broker: SessionOpened, the answer to OpenSession
	KindCloseSession  Kind = 34 // client or operator: CloseSession; answer Done
	KindSessionState  Kind = 35 // push to the client: SessionState

	KindRegisterService   Kind = 40 // operator: Service; answer Done
	KindDeregisterService Kind = 41 // operator: ServiceRef; answer Done
	KindListServices      Kind = 42 // operator: ListRequest; answer Page of ServiceInfo
	KindListSessions      Kind = 43 // operator: ListRequest; answer Page of SessionInfo
	KindListNodes         Kind = 44 // operator: ListRequest; answer Page of NodeInfo
	KindServicePage       Kind = 45 // broker: ServicePage, the answer to ListServices
	KindSessionPage       Kind = 46 // broker: SessionPage, the answer to ListSessions
	KindNodePage          Kind = 47 // broker: NodePage, the answer to ListNodes
	KindCreateEnvironment Kind = 48 // operator: Environment; answer Done
	KindDeleteEnvironment Kind = 49 // operator: DeleteEnvironment; answer Done
	KindListEnvironments  Kind = 50 // operator: ListRequest; answer Page of EnvironmentInfo
	KindEnvironmentPage   Kind = 51 // broker: EnvironmentPage, the answer to ListEnvironments
	KindListEvents        Kind = 52 // operator: ListRequest; answer Page of SessionEvent
	KindEventPage         Kind = 53 // broker: EventPage, the answer to ListEvents
	KindMoveService       Kind = 54 // operator: MoveService; answer Done
	KindRestartService    Kind = 55 // operator: RestartService; answer Done

	KindRegisterNode   Kind = 56 // agent: RegisterNode; answer Done
	KindNodeStatus     Kind = 57 // agent: NodeStatus, every heartbeat; no answer but a header
	KindStartContainer Kind = 58 // broker to agent: StartContainer
	KindStopContainer  Kind = 59 // broker to agent: StopContainer
	KindContainerState Kind = 60 // agent: ContainerState; answer Done with the same id
	KindInstanceFailed Kind = 61 // instance on its control connection, body Error: OnCreateService failed
)

// Kinds of the data plane, continued: what is said of single tasks beside their results, and of a session's data.
const (
	KindCancel       Kind = 64 // client to manager: end this task; task field 0: all that were sent before
	KindAbort        Kind = 65 // manager to instance, body Error: end this task; a Failure or a Result answers
	KindStarted      Kind = 66 // instance to manager: a task's hook begins; said where the dispatch asks for it
	KindStopping     Kind = 67 // instance to manager: a task's hook was told to end, and has not returned yet; task field 0: one of a session that is let go
	KindProgress     Kind = 68 // instance to manager to client, body Progress: how far a task has come; the last counts
	KindPartial      Kind = 69 // instance to manager to client: a part of a task's result; last element: attempt and number
	KindPartialGrant Kind = 70 // manager to instance, body PartialGrant: more bytes of parts may be sent of this task
	KindPutData      Kind = 71 // instance to manager, body PutData: keep this with the session; answer Done or Error
	KindGetData      Kind = 72 // instance to manager, body GetData; answer SessionData
	KindSessionData  Kind = 73 // manager to instance, body SessionData: the answer to GetData
	KindTaken        Kind = 74 // client to manager, body Taken: results that the application has taken, of a kept session
	KindAskCredit    Kind = 75 // manager to client: say Credit as soon as it is at least the task field
)

// Kinds of the control plane, continued: what is asked of sessions and of single tasks.
const (
	KindAttachSession Kind = 80 // client: AttachSession; answer SessionOpened
	KindDetachSession Kind = 81 // client: DetachSession; answer Done
	KindSteerSession  Kind = 82 // client or operator: SteerSession; answer Done
	KindCancelTask    Kind = 83 // operator: TaskRef; answer Done
	KindGetTask       Kind = 84 // operator: TaskRef; answer TaskInfo
	KindTaskInfo      Kind = 85 // broker: TaskInfo, the answer to GetTask
	KindListTasks     Kind = 86 // operator: ListRequest with a session; answer TaskPage of its unfinished tasks
	KindTaskPage      Kind = 87 // broker: TaskPage, the answer to ListTasks
	KindListDead      Kind = 88 // operator: ListRequest; answer DeadPage
	KindDeadPage      Kind = 89 // broker: DeadPage, the answer to ListDead
	KindGetDead       Kind = 90 // operator: GetDead; answer DeadPart
	KindDeadPart      Kind = 91 // broker: DeadPart, the answer to GetDead
	KindDropDead      Kind = 92 // operator: DropDead; answer DeadDropped
	KindGetStats      Kind = 93 // operator: GetStats; answer Stats
	KindStats         Kind = 94 // broker: Stats, the answer to GetStats
	KindDeadDropped   Kind = 95 // broker: DeadDropped, the answer to DropDead
)

// Kinds of the control plane, continued: queues, nodes and the state of the whole.
const (
	KindApplyQueues   Kind = 96  // operator: ApplyQueues; answer QueuesApplied
	KindQueuesApplied Kind = 97  // broker: QueuesApplied, the answer to ApplyQueues
	KindListQueues    Kind = 98  // operator: ListRequest; answer Page of QueueInfo
	KindQueuePage     Kind = 99  // broker: QueuePage, the answer to ListQueues
	KindDrainQueue    Kind = 100 // operator: DrainQueue; answer Done
	KindCordonNode    Kind = 101 // operator: CordonNode; answer Done
	KindGetOverview   Kind = 102 // operator, no body; answer Overview
	KindOverview      Kind = 103 // broker: Overview, the answer to GetOverview
	KindExplain       Kind = 104 // operator: Explain; answer Explained
	KindExplained     Kind = 105 // broker: Explained, the answer to Explain
)

var kindNames = map[Kind]string{
	KindHeader: "Header", KindHello: "Hello", KindWelcome: "Welcome", KindRehello: "Rehello", KindRefer: "Refer",
	KindError: "Error", KindBye: "Bye", KindDone: "Done", KindTask: "Task", KindDispatch: "Dispatch",
	KindResult: "Result", KindFailure: "Failure", KindCredit: "Credit", KindRecall: "Recall",
	KindRecalled: "Recalled", KindBind: "Bind", KindBound: "Bound", KindRefused: "Refused", KindUnbind: "Unbind",
	KindUnbound: "Unbound", KindExecuted: "Executed", KindDrain: "Drain", KindLeave: "Leave",
	KindOpenSession: "OpenSession", KindSessionOpened: "SessionOpened", KindCloseSession: "CloseSession",
	KindSessionState: "SessionState", KindRegisterService: "RegisterService",
	KindDeregisterService: "DeregisterService", KindListServices: "ListServices", KindListSessions: "ListSessions",
	KindListNodes: "ListNodes", KindServicePage: "ServicePage", KindSessionPage: "SessionPage",
	KindNodePage: "NodePage", KindCreateEnvironment: "CreateEnvironment", KindDeleteEnvironment: "DeleteEnvironment",
	KindListEnvironments: "ListEnvironments", KindEnvironmentPage: "EnvironmentPage",
	KindListEvents: "ListEvents", KindEventPage: "EventPage", KindMoveService: "MoveService",
	KindRestartService: "RestartService",
	KindRegisterNode:   "RegisterNode", KindNodeStatus: "NodeStatus",
	KindStartContainer: "StartContainer", KindStopContainer: "StopContainer",
	KindContainerState: "ContainerState", KindInstanceFailed: "InstanceFailed",
	KindCancel: "Cancel", KindAbort: "Abort", KindStarted: "Started", KindStopping: "Stopping",
	KindProgress: "Progress", KindPartial: "Partial", KindPartialGrant: "PartialGrant",
	KindPutData: "PutData", KindGetData: "GetData", KindSessionData: "SessionData", KindTaken: "Taken", KindAskCredit: "AskCredit",
	KindAttachSession: "AttachSession", KindDetachSession: "DetachSession", KindSteerSession: "SteerSession",
	KindCancelTask: "CancelTask", KindGetTask: "GetTask", KindTaskInfo: "TaskInfo", KindListTasks: "ListTasks",
	KindTaskPage: "TaskPage", KindListDead: "ListDead", KindDeadPage: "DeadPage", KindGetDead: "GetDead",
	KindDeadPart: "DeadPart", KindDropDead: "DropDead", KindGetStats: "GetStats", KindStats: "Stats",
	KindDeadDropped: "DeadDropped",
	KindApplyQueues: "ApplyQueues", KindQueuesApplied: "QueuesApplied", KindListQueues: "ListQueues", KindQueuePage: "QueuePage",
	KindDrainQueue: "DrainQueue", KindCordonNode: "CordonNode", KindGetOverview: "GetOverview", KindOverview: "Overview",
	KindExplain: "Explain", KindExplained: "Explained",
}

// String gives the kind's name in docs/rfc, or "kind 120".
func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Known says whether this version of the protocol has the kind.
func (k Kind) Known() bool { _, ok := kindNames[k]; return ok }
