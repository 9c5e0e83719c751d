package protocol

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// update writes the golden files and the generated parts of docs/rfc anew: make generate.
var update = flag.Bool("update", false, "write golden files and docs/rfc anew")

// golden is one message of a dialog: its text in the golden file says what it is and names its bytes.
type golden struct {
	name, text string
	h          Header
	records    []byte
	payloads   []int // sizes of the payload frames that follow
}

const (
	theBroker   = 0xb000000000000001
	theClient   = 0xc000000000000001
	theInstance = 0x1000000000000001
	theAgent    = 0xa000000000000001
	theEpoch    = 0x701
)

func from(sender uint64, conversation uint16, count, acked uint64) Header {
	return Header{
		Version: 1, Epoch: theEpoch, Incarnation: sender,
		Sequence: NewStamp(conversation, count), Acked: NewStamp(conversation, acked),
	}
}

func client(count, acked uint64) Header   { return from(theClient, 1, count, acked) }
func broker(count, acked uint64) Header   { return from(theBroker, 1, count, acked) }
func instance(count, acked uint64) Header { return from(theInstance, 1, count, acked) }
func agent(count, acked uint64) Header    { return from(theAgent, 1, count, acked) }

func plain(kind Kind, session uint32, task uint64, payload string) []byte {
	return AppendRecord(nil, kind, session, task, []byte(payload))
}

func with(kind Kind, session uint32, task uint64, body any) []byte {
	return AppendBody(nil, kind, session, task, body)
}

// goldens is one frame for each message of each dialog.
func goldens() map[string][]golden {
	return map[string][]golden{
		"conversation":        goldenConversation(),
		"client-controller":   goldenClientController(),
		"client-manager":      goldenClientManager(),
		"instance-manager":    goldenInstanceManager(),
		"agent-controller":    goldenAgentController(),
		"operator-controller": goldenOperatorController(),
	}
}

func goldenConversation() []golden {
	hello := Hello{MinVersion: 1, MaxVersion: 1, Role: RoleClient, Name: "pricer", Endpoint: "tcp://10.0.0.1:7700"}
	first := client(1, 0)
	first.Epoch = 0
	again := hello
	again.Peer, again.Received = theBroker, NewStamp(1, 9)
	welcome := Welcome{Version: 1, Heartbeat: Heartbeat, Timeout: PeerTimeout, MaxPayload: DefaultMaxPayload, Broker: "b1"}
	resumed := welcome
	resumed.Resumed, resumed.Received = true, NewStamp(1, 12)
	return []golden{
		{"Hello", "A client that knows no broker yet says who it is; its first conversation begins.", first, with(KindHello, 0, 0, hello), nil},
		{"Welcome", "The broker, which does not know the client, answers.", broker(1, 1), with(KindWelcome, 0, 0, welcome), nil},
		{"Hello again", "The connection broke. The client took over frames 1 to 9 of conversation 1; conversation 2 begins.", from(theClient, 2, 1, 0), with(KindHello, 0, 0, again), nil},
		{"Welcome resumed", "The broker goes on; it took over frames 1 to 12 of conversation 1.", from(theBroker, 2, 1, 1), with(KindWelcome, 0, 0, resumed), nil},
		{"Rehello", "A bare frame, of no conversation: the broker has no conversation with this connection.", from(theBroker, 0, 0, 0), plain(KindRehello, 0, 0, ""), nil},
		{"Refusal", "A bare frame: the HELLO is refused.", from(theBroker, 0, 0, 0), with(KindError, 0, 0, Error{Code: CodeVersion, Op: "Hello", Msg: "the peer speaks versions 2 to 3 of the protocol, this broker 1 to 1: upgrade the older"}), nil},
		{"Header", "A header alone: a sign of life that acknowledges 16 frames.", broker(5, 16), nil, nil},
		{"Unknown kind", "A record of a kind that the receiver does not know is refused under its task field.", broker(6, 17), with(KindError, 0, 99, Error{Code: CodeUnknownKind, Op: "kind 120", Msg: "a broker takes no such record here"}), nil},
		{"Bye", "The sender leaves in order.", client(20, 8), plain(KindBye, 0, 0, ""), nil},
	}
}

func goldenClientController() []golden {
	return []golden{
		{"OpenSession", "Request 1 asks for a session of the service price.", client(2, 1), with(KindOpenSession, 0, 1, OpenSession{Key: 1, Service: "price", Queue: "risk.eod", Name: "eod", MinInst: 1, MaxInst: 8, Rack: "r7", Relax: true, Priority: 2, Parameters: []byte("EUR")}), nil},
		{"SessionOpened", "Session 7 is open; its credit is granted.", broker(2, 2), with(KindSessionOpened, 7, 1, SessionOpened{Session: 7, Service: "price", Version: "1", TaskCredit: DefaultTaskCredit, ByteCredit: DefaultByteCredit, MaxPayload: DefaultMaxPayload, Interface: Interface{Task: "{symbol: string, days: int}", Result: "float"}}), nil},
		{"Error", "Request 2 is refused.", broker(3, 3), with(KindError, 0, 2, Error{Code: CodeUnknownService, Op: "OpenSession", Msg: `service "prize" is not registered`}), nil},
		{"Refer", "A push: session 7 is served at this endpoint.", broker(4, 3), with(KindRefer, 7, 0, Refer{Service: "price", Session: 7, Endpoint: "tcp://10.0.0.1:7710", Epoch: theEpoch}), nil},
		{"SessionState running", "A push: an instance was bound to the session.", broker(5, 3), with(KindSessionState, 7, 0, SessionState{Session: 7, State: SessionRunning}), nil},
		{"CloseSession", "Request 3 closes the session when its tasks are finished.", client(4, 5), with(KindCloseSession, 7, 3, CloseSession{Session: 7, Mode: CloseFinish}), nil},
		{"Done", "The order was passed on.", broker(6, 4), plain(KindDone, 0, 3, ""), nil},
		{"SessionState closed", "A push: the session is over.", broker(7, 4), with(KindSessionState, 7, 0, SessionState{Session: 7, State: SessionClosed}), nil},
		{"DetachSession", "Request 4 leaves session 7, which is kept for an hour.", client(5, 8), with(KindDetachSession, 7, 4, DetachSession{Session: 7, Grace: time.Hour}), nil},
		{"AttachSession", "Request 5, maybe of another process, comes back to it. It is answered as OPEN-SESSION is.", client(6, 8), with(KindAttachSession, 7, 5, AttachSession{Key: 2, Session: 7}), nil},
		{"SessionOpened again", "The session was given to one client before, has had 41 tasks, and the results of 3 were not taken.", broker(8, 6), with(KindSessionOpened, 7, 5, SessionOpened{Session: 7, Service: "price", Version: "1", TaskCredit: DefaultTaskCredit, ByteCredit: DefaultByteCredit, MaxPayload: DefaultMaxPayload, Next: 42, Untold: 3, Tenure: 1}), nil},
		{"SessionState queued", "A push: session 8, of another service, waits, and why.", broker(8, 4), with(KindSessionState, 8, 0, SessionState{Session: 8, State: SessionQueued, Reason: "not enough cpu of a manager loop for its session manager: 0.05 needed, 0 of 1 free; to be freed by closing all sessions of risk"}), nil},
	}
}

func goldenTask() TaskInfo {
	return TaskInfo{
		Session: 7, Task: NewTaskID(10, 4), Sequence: 10, State: TaskRunning, Since: time.Unix(1_700_000_000, 0), Size: 5,
		Attempts: 1, Container: "c-17", Node: "node-a", Progress: &Progress{Percent: 50, Attempt: 2},
	}
}

func goldenLetter() DeadLetter {
	return DeadLetter{
		ID: 3, At: time.Unix(1_700_000_000, 0), Service: "price", Version: "1", Environment: "default", Session: 7, Client: "pricer",
		Task: NewTaskID(1, 0), Size: 5, Attempts: 4, Error: &Error{Code: CodeAttemptsSpent, Op: "task", Msg: "it failed in each of 4 attempts"},
		Last: &Error{Code: CodeTaskFailed, Op: "OnTaskExec", Msg: "no such trade"}, Instances: []InstanceRef{{Container: "c-17", Node: "node-a"}},
	}
}

func goldenClientManager() []golden {
	id, next := uint64(NewTaskID(1, 0)), uint64(NewTaskID(2, 1))
	return []golden{
		{"Hello", "The client says who it is, and that it takes 64 MiB of results that it has not consumed.", client(1, 0), with(KindHello, 0, 0, Hello{MinVersion: 1, MaxVersion: 1, Role: RoleClient, Name: "pricer", Endpoint: "tcp://10.0.0.1:7710", ResultCredit: DefaultResultCredit}), nil},
		{"Task", "Two tasks of session 7 in one frame: sequence 1 in slot 0, sequence 2 in slot 1.", client(2, 1), append(plain(KindTask, 7, id, "hello"), plain(KindTask, 7, next, "world")...), nil},
		{"Task external", "A task whose payload of 9000 bytes is the frame that follows.", client(3, 1), AppendExternal(nil, KindTask, 7, uint64(NewTaskID(3, 2)), 9000), []int{9000}},
		{"Task with options", "A task that is given up after 30 s, may execute for 5 s, goes before others, and is run twice at most.", client(3, 1), AppendTask(nil, 7, NewTaskID(4, 3), []byte("soon"), &TaskOptions{Timeout: 30 * time.Second, Run: 5 * time.Second, Priority: 10, Attempts: 2}), nil},
		{"Result", "The result of the first task.", broker(2, 3), plain(KindResult, 7, id, "HELLO"), nil},
		{"Failure", "The second task failed.", broker(3, 3), with(KindFailure, 7, next, Error{Code: CodeTaskFailed, Op: "price", Msg: "no such trade"}), nil},
		{"Credit", "The client has consumed 5 bytes of results since its HELLO.", client(4, 3), plain(KindCredit, 0, 5, ""), nil},
		{"Cancel", "End the task of sequence 2.", client(5, 3), plain(KindCancel, 7, next, ""), nil},
		{"Cancel all", "End all tasks of session 7 that were sent before.", client(6, 3), plain(KindCancel, 7, 0, ""), nil},
		{"Progress", "The first task has done half of its work: the fifth word of it.", broker(3, 3), AppendNumbered(nil, KindProgress, 7, id, Marshal(Progress{Percent: 50, Text: "3 of 6 markets", Attempt: 1}), 1, 4), nil},
		{"Partial", "The third part of its result.", broker(3, 3), AppendNumbered(nil, KindPartial, 7, id, []byte("HEL"), 1, 2), nil},
		{"Result after parts", "The result of a task of which three parts of its first attempt were sent.", broker(3, 3), AppendNumbered(nil, KindResult, 7, id, []byte("HELLO"), 1, 3), nil},
		{"AskCredit", "The manager asks to be told when 6 bytes of results were consumed.", broker(4, 3), plain(KindAskCredit, 0, 6, ""), nil},
		{"Taken", "Of a kept session: the application has taken the results of tasks 1 and 2.", client(7, 3), with(KindTaken, 7, 0, Taken{Tasks: []uint64{id, next}}), nil},
		{"Error Detached", "Session 7 goes on without this client: its third tenure is over.", broker(5, 4), with(KindError, 7, 2, Error{Code: CodeDetached, Op: "session", Msg: "session 7 goes on without this client"}), nil},
		{"Error", "A bare frame: this loop serves nothing of the client. It asks its control connection again.", from(theBroker, 0, 0, 0), with(KindError, 0, 0, Error{Code: CodeUnknownSession, Op: "Hello", Msg: "ask the control endpoint again"}), nil},
	}
}

func goldenInstanceManager() []golden {
	const slot = 3<<32 | 12 // generation 3 of slot 12
	return []golden{
		{"Hello to the controller", "An instance that an agent started says so by its container and token.", instance(1, 0), with(KindHello, 0, 0, Hello{MinVersion: 1, MaxVersion: 1, Role: RoleInstance, Endpoint: "tcp://10.0.0.1:7700", Service: "price", Version: "1", Container: "c-17", Token: "5f3a", Slots: 1, Sessions: 10}), nil},
		{"Refer", "The controller says where its service is served.", broker(2, 1), with(KindRefer, 0, 0, Refer{Service: "price", Endpoint: "tcp://10.0.0.1:7710", Epoch: theEpoch}), nil},
		{"InstanceFailed", "On the control connection: OnCreateService failed.", instance(2, 2), with(KindInstanceFailed, 0, 0, Error{Code: CodeCreateFailed, Op: "OnCreateService", Msg: "no licence"}), nil},
		{"Hello to the manager", "On the data connection: the instance is ready.", instance(1, 0), with(KindHello, 0, 0, Hello{MinVersion: 1, MaxVersion: 1, Role: RoleInstance, Endpoint: "tcp://10.0.0.1:7710", Service: "price", Version: "1", Container: "c-17", Slots: 1, Sessions: 10}), nil},
		{"Bind", "Hold session 7.", broker(2, 1), with(KindBind, 7, 0, Bind{Session: 7, Name: "eod", Environment: "default", Parameters: []byte("EUR")}), nil},
		{"Bound", "OnSessionBind returned.", instance(2, 2), plain(KindBound, 7, 0, ""), nil},
		{"Refused", "OnSessionBind failed.", instance(2, 2), with(KindRefused, 7, 0, Error{Code: CodeBindFailed, Op: "OnSessionBind", Msg: "no such market"}), nil},
		{"Dispatch", "Run this task: the first attempt of the client's task 1 in slot 0.", broker(3, 2), AppendDispatch(nil, 7, slot, []byte("hello"), &Execution{ID: NewTaskID(1, 0), Attempt: 1}), nil},
		{"Dispatch again", "The same task, its second attempt: the last element is a map.", broker(3, 2), AppendDispatch(nil, 7, slot, []byte("hello"), &Execution{ID: NewTaskID(1, 0), Attempt: 2}), nil},
		{"Dispatch external", "A task whose payload is the frame that follows.", broker(4, 2), AppendDispatchExternal(nil, 7, slot+1, 9000, &Execution{ID: NewTaskID(3, 2), Attempt: 1}), []int{9000}},
		{"Dispatch with limits", "A task that is given up in 30 s and may execute for 5 s; its manager wants to know when it begins.", broker(4, 2), AppendDispatch(nil, 7, slot, []byte("soon"), &Execution{ID: NewTaskID(4, 3), Attempt: 2, Timeout: 30 * time.Second, Run: 5 * time.Second, Watch: true}), nil},
		{"Started", "Its hook begins.", instance(3, 4), plain(KindStarted, 7, slot, ""), nil},
		{"Abort", "End it.", broker(5, 3), with(KindAbort, 7, slot, Error{Code: CodeCancelled, Op: "task", Msg: "by its client"}), nil},
		{"Stopping", "The context of its hook has ended.", instance(4, 5), plain(KindStopping, 7, slot, ""), nil},
		{"Progress", "A task has done half of its work.", instance(4, 5), with(KindProgress, 7, slot, Progress{Percent: 50, Text: "3 of 6 markets", Attempt: 1}), nil},
		{"Partial", "The third part of its result.", instance(4, 5), AppendNumbered(nil, KindPartial, 7, slot, []byte("HEL"), 1, 2), nil},
		{"PartialGrant", "It was passed on: 67 bytes more may come.", broker(6, 4), with(KindPartialGrant, 7, slot, PartialGrant{Bytes: PartialWeight(3)}), nil},
		{"PutData", "Request 5 of the instance: keep this with session 7.", instance(4, 5), with(KindPutData, 7, 5, PutData{Key: "curve", Value: []byte("EUR")}), nil},
		{"Done", "It is kept.", broker(6, 4), plain(KindDone, 7, 5, ""), nil},
		{"GetData", "Request 6.", instance(5, 6), with(KindGetData, 7, 6, GetData{Key: "curve"}), nil},
		{"SessionData", "Its answer.", broker(7, 5), with(KindSessionData, 7, 6, SessionData{Key: "curve", Value: []byte("EUR"), Found: true}), nil},
		{"Result", "Its result, and what was executed since the last report: 1 task in 2.5 ms.", instance(3, 4), append(plain(KindResult, 7, slot, "HELLO"), plain(KindExecuted, 1, 2_500_000, "")...), nil},
		{"Failure", "It failed, and is not to be run again.", instance(3, 4), with(KindFailure, 7, slot, Error{Code: CodeTaskFailed, Op: "OnTaskExec", Msg: "no such trade", Retry: 2}), nil},
		{"Recall", "Give the task back if it has not started.", broker(5, 3), plain(KindRecall, 7, slot+1, ""), nil},
		{"Recalled", "It had not started and will not.", instance(4, 5), plain(KindRecalled, 7, slot+1, ""), nil},
		{"Unbind", "Let session 7 go.", broker(6, 4), plain(KindUnbind, 7, 0, ""), nil},
		{"Unbound", "OnSessionUnbind returned.", instance(5, 6), plain(KindUnbound, 7, 0, ""), nil},
		{"Drain", "The instance wants to end.", instance(6, 6), plain(KindDrain, 0, 0, ""), nil},
		{"Leave", "It may.", broker(7, 6), plain(KindLeave, 0, 0, ""), nil},
		{"Bye", "On the control connection: OnDestroyService returned.", instance(3, 3), plain(KindBye, 0, 0, ""), nil},
	}
}

func goldenAgentController() []golden {
	return []golden{
		{"Hello", "An agent says which node it is.", agent(1, 0), with(KindHello, 0, 0, Hello{MinVersion: 1, MaxVersion: 1, Role: RoleAgent, Name: "node-a", Endpoint: "tcp://10.0.0.1:7700"}), nil},
		{"RegisterNode", "Request 1 brings the node into the fabric, with a container that it has.", agent(2, 1), with(KindRegisterNode, 0, 1, RegisterNode{
			Name: "node-a", Platform: "linux/amd64", NodeType: NodeTypeCPU, Capacity: Capacity{CPU: 8000, Memory: 16 << 30},
			Labels:     map[string]string{"zone": "east"},
			Detail:     NodeDetail{Hostname: "a", OS: "linux", Cores: 8},
			Containers: []Container{{ID: "c-16", Service: "price", State: ContainerRunning}},
		}), nil},
		{"Done", "It is registered.", broker(2, 2), plain(KindDone, 0, 1, ""), nil},
		{"NodeStatus", "Every second.", agent(3, 2), with(KindNodeStatus, 0, 0, NodeStatus{Load1: 0.5, MemFree: 12 << 30, Containers: []string{"c-16"}}), nil},
		{"StartContainer", "Start a container.", broker(3, 3), with(KindStartContainer, 0, 0, StartContainer{
			ID: "c-17", Service: "price", Version: "1", Command: "/opt/price", Args: []string{"-v"}, Env: map[string]string{"MARKET": "EUR"},
			Token: "5f3a", Slots: 1, Sessions: 10, Capacity: Capacity{CPU: 1000, Memory: 64 << 20},
		}), nil},
		{"ContainerState running", "Under id 2: it runs.", agent(4, 3), with(KindContainerState, 0, 2, ContainerState{ID: "c-17", State: ContainerRunning, PID: 4711}), nil},
		{"ContainerState not started", "Or it could not be started.", agent(4, 3), with(KindContainerState, 0, 2, ContainerState{ID: "c-17", State: ContainerExited, Error: &Error{Code: CodeArtefact, Op: "StartContainer", Msg: "/opt/price: no such file"}}), nil},
		{"Done to ContainerState", "The broker has noted it.", broker(4, 4), plain(KindDone, 0, 2, ""), nil},
		{"StopContainer", "End it: SIGTERM, and SIGKILL after 10 s.", broker(5, 4), with(KindStopContainer, 0, 0, StopContainer{ID: "c-17", Grace: 10 * time.Second}), nil},
		{"ContainerState exited", "Under id 4: the process is gone.", agent(6, 5), with(KindContainerState, 0, 4, ContainerState{ID: "c-17", State: ContainerExited, Signal: "terminated", Reason: "it was stopped", Output: []string{"bye"}}), nil},
	}
}

func goldenQueues() []golden {
	weight := 2.0
	root := Queue{Name: "root"}
	risk := Queue{Name: "risk", Parent: "root", Weight: &weight, Min: Amounts{"memory": 8 << 30, "cpu": 4000}, MaxPercent: "62.5", Policy: "fair", Reserve: true}
	return []golden{
		{"ApplyQueues", "Request 19 asks what would change with these queues and shapes.", client(20, 13), with(KindApplyQueues, 0, 19, ApplyQueues{
			Queues: []Queue{root, {Name: "day", Parent: "root", Priority: 1, Policy: "capacity", UserLimit: "25"}, risk},
			Shapes: Shapes{"small": {CPU: 1000, Memory: 2 << 30}, "large": {CPU: 8000, GPU: 1, Memory: 64 << 30}}, DryRun: true,
		}), nil},
		{"QueuesApplied", "One queue would come, another would be another; one shape would go.", broker(14, 20), with(KindQueuesApplied, 0, 19, QueuesApplied{DryRun: true, Changes: []QueueChange{
			{Change: ChangeAdded, Queue: "day", Fields: []FieldChange{{Field: "priority", New: "1"}}},
			{Change: ChangeChanged, Queue: "risk", Fields: []FieldChange{{Field: "max_pct", Old: "50", New: "62.5"}}, Services: []string{"price"}},
			{Change: ChangeRemoved, Shape: "medium"},
		}}), nil},
		{"ListQueues", "Request 20 asks for the queues after the root.", client(21, 14), with(KindListQueues, 0, 20, ListRequest{After: "root"}), nil},
		{"QueuePage", "A page of one.", broker(15, 21), with(KindQueuePage, 0, 20, QueuePage{Entries: []QueueInfo{{
			Queue: risk, Depth: 1, Leaf: true, Used: Amounts{"cpu": 2000, "memory": 1 << 30}, Guaranteed: Quantities{"cpu": 5333.5, "memory": 12 << 30},
			Max: Quantities{"cpu": 5000, "memory": 10 << 30}, Ratio: 0.375, Running: 2, Pending: 3, Services: 1, Sessions: 1,
		}}}), nil},
		{"DrainQueue", "Request 21 drains a queue.", client(22, 15), with(KindDrainQueue, 0, 21, DrainQueue{Name: "risk"}), nil},
		{"CordonNode", "Request 22 keeps new containers off a node.", client(23, 15), with(KindCordonNode, 0, 22, CordonNode{Name: "node-a", On: true, Reason: "a fan is loud"}), nil},
		{"GetOverview", "Request 23 asks for the state of the whole.", client(24, 15), with(KindGetOverview, 0, 23, nil), nil},
		{"Overview", "It is this.", broker(16, 24), with(KindOverview, 0, 23, Overview{
			At:         time.Unix(1_700_000_060, 0),
			Brokers:    []BrokerGlance{{Name: "b1", Role: "primary", Epoch: theEpoch, Since: time.Unix(1_700_000_000, 0), Loops: 2, Managers: 1, CPU: 50, Memory: 64 << 20, Uptime: time.Minute}},
			Nodes:      NodesGlance{Up: 2, Cordoned: 1, Capacity: Capacity{CPU: 16000, GPU: 2, Memory: 32 << 30}, Used: Capacity{CPU: 2000, GPU: 1, Memory: 1 << 30}},
			Devices:    []DeviceGlance{{Node: "node-b", GPUs: 2, Used: 1}},
			Queues:     QueuesGlance{Queues: 3, Leaves: 2, Running: 2, Pending: 3, Waiting: []QueueWaiting{{Queue: "risk", Pending: 3, Running: 2, Ratio: 0.375}}},
			Containers: ContainersGlance{Serving: 2}, Sessions: SessionsGlance{Running: 1}, Services: 1,
		}), nil},
		{"Explain", "Request 24 asks what session 7 waits for.", client(25, 16), with(KindExplain, 7, 24, Explain{Session: 7}), nil},
		{"Explained", "For three more containers, which its queue may not have.", broker(17, 25), with(KindExplained, 7, 24, Explained{
			Session: 7, State: SessionRunning, Service: "price", Requests: []ExplainedRequest{{
				Request: "4", Version: "1", Queue: "risk", Policy: "fair", Position: 1, Wanted: 5, Held: 2, Capacity: Capacity{CPU: 1000, Memory: 512 << 20}, Sessions: []uint32{7},
				Reasons: []Reason{{Kind: "queue_max", Queue: "risk", Dimension: "cpu", Short: 1000, Text: "queue risk is at its maximum of cpu: 1 needed, 0 of 2 left"}},
			}},
		}), nil},
	}
}

func goldenOperatorController() []golden {
	price := Service{
		Name: "price", Version: "1", Function: "prices trades", Tags: []string{"risk"},
		Artefacts: Artefacts{"linux/arm64": {Command: "/opt/arm64/price"}, "linux/amd64": {Command: "/opt/amd64/price", Args: []string{"-v"}}},
		Requests:  []ContainerRequest{{Capacity: Capacity{CPU: 1000, Memory: 64 << 20}}},
		Instances: Instances{Min: 1, Max: 4}, Interface: Interface{Task: "{symbol: string, days: int}", Result: "float"},
		Limits: Limits{Idle: Duration(90 * time.Second)},
	}
	return slices.Concat([]golden{
		{"RegisterService", "Request 1 registers a service.", client(2, 1), with(KindRegisterService, 0, 1, price), nil},
		{"DeregisterService", "Request 2 takes all its versions out of the catalogue.", client(3, 1), with(KindDeregisterService, 0, 2, ServiceRef{Name: "price"}), nil},
		{"Done", "The answer to both.", broker(2, 3), plain(KindDone, 0, 1, ""), nil},
		{"ListServices", "Request 3 asks for services by pattern, tag and words.", client(4, 2), with(KindListServices, 0, 3, ListRequest{Limit: 100, Name: "pri*", Tag: "risk", Words: "trade"}), nil},
		{"ServicePage", "A page of one.", broker(3, 4), with(KindServicePage, 0, 3, ServicePage{Entries: []ServiceInfo{{Service: price, Registered: time.Unix(1_700_000_000, 0), Default: true, Sessions: 1, Instances: 1, Managers: []ManagerInfo{{Loop: 2, Share: Share{CPU: 50, Memory: 64 << 20}, CPU: 12, Memory: 4096, Sessions: 1}}}}}), nil},
		{"ListSessions", "Request 4 asks for the sessions of a service, those that are over too.", client(5, 3), with(KindListSessions, 0, 4, ListRequest{Service: "price", All: true}), nil},
		{"SessionPage", "A page, and there are more.", broker(4, 5), with(KindSessionPage, 0, 4, SessionPage{More: true, Entries: []SessionInfo{{
			Session: 7, Service: "price", Version: "1", Environment: "default", Client: "pricer", State: SessionRunning,
			Opened: time.Unix(1_700_000_000, 0), StartDelay: 40 * time.Millisecond, Queued: 3, InFlight: 1, Done: 12, Nodes: []string{"node-a"},
		}}}), nil},
		{"ListNodes", "Request 5 asks for the nodes.", client(6, 4), with(KindListNodes, 0, 5, ListRequest{}), nil},
		{"NodePage", "A page of one.", broker(5, 6), with(KindNodePage, 0, 5, NodePage{Entries: []NodeInfo{{
			Name: "node-a", State: "ready", Platform: "linux/amd64", NodeType: NodeTypeCPU, Capacity: Capacity{CPU: 8000, Memory: 16 << 30},
			Used: Capacity{CPU: 1000, Memory: 1 << 30}, Free: Capacity{CPU: 7000, Memory: 15 << 30}, Containers: 1, LastSeen: 300 * time.Millisecond,
			Labels: map[string]string{"zone": "east", "owner": "risk"}, Cordoned: true, CordonReason: "a fan is loud",
		}}}), nil},
		{"MoveService", "Request 7 has its session managers go to manager loop 2.", client(8, 6), with(KindMoveService, 0, 7, MoveService{Name: "price", Loop: 2}), nil},
		{"RestartService", "Request 8 has the instances of version 2 replaced.", client(9, 7), with(KindRestartService, 0, 8, RestartService{Name: "price", Version: "2"}), nil},
		{"CloseSession", "Request 6 kills a session of any client.", client(7, 5), with(KindCloseSession, 7, 6, CloseSession{Session: 7, Mode: CloseKill, Reason: "by the operator"}), nil},
		{"CreateEnvironment", "Request 7 makes an environment.", client(8, 5), with(KindCreateEnvironment, 0, 7, Environment{Name: "risk", Labels: map[string]string{"desk": "rates", "cost": "4711"}}), nil},
		{"DeleteEnvironment", "Request 8 takes it away, and kills its sessions first.", client(9, 5), with(KindDeleteEnvironment, 0, 8, DeleteEnvironment{Name: "risk", Force: true}), nil},
		{"ListEnvironments", "Request 9 asks for the environments.", client(10, 5), with(KindListEnvironments, 0, 9, ListRequest{}), nil},
		{"EnvironmentPage", "A page of two.", broker(6, 10), with(KindEnvironmentPage, 0, 9, EnvironmentPage{Entries: []EnvironmentInfo{
			{Name: "default", State: EnvironmentActive, Sessions: 3},
			{Name: "risk", Labels: map[string]string{"desk": "rates"}, Owner: "ann", Created: time.Unix(1_700_000_000, 0), State: EnvironmentDeleting, Sessions: 1},
		}}), nil},
		{"ListEvents", "Request 10 asks for the events of session 7 after number 2.", client(11, 6), with(KindListEvents, 0, 10, ListRequest{Session: 7, After: "2"}), nil},
		{"EventPage", "They are the last: it is over.", broker(7, 11), with(KindEventPage, 0, 10, EventPage{Over: true, Entries: []SessionEvent{
			{Number: 3, At: time.Unix(1_700_000_000, 0), Kind: EventBound, Detail: "to instance c-17 on node node-a"},
			{Number: 4, At: time.Unix(1_700_000_009, 0), Kind: EventClosed},
		}}), nil},
		{"SteerSession", "Request 11 suspends session 7.", client(12, 7), with(KindSteerSession, 7, 11, SteerSession{Session: 7, Action: SteerSuspend, Reason: "the market is closed"}), nil},
		{"CancelTask", "Request 12 cancels task 9 of session 7.", client(13, 7), with(KindCancelTask, 7, 12, TaskRef{Session: 7, Sequence: 9, Reason: "by the operator"}), nil},
		{"GetTask", "Request 13 asks for task 10 of session 7.", client(14, 7), with(KindGetTask, 7, 13, TaskRef{Session: 7, Sequence: 10}), nil},
		{"TaskInfo", "It runs.", broker(8, 14), with(KindTaskInfo, 7, 13, goldenTask()), nil},
		{"ListTasks", "Request 14 asks for the unfinished tasks of session 7.", client(15, 8), with(KindListTasks, 7, 14, ListRequest{Session: 7}), nil},
		{"TaskPage", "There is one.", broker(9, 15), with(KindTaskPage, 7, 14, TaskPage{Entries: []TaskInfo{goldenTask()}}), nil},
		{"ListDead", "Request 15 asks for the dead-letter list.", client(16, 9), with(KindListDead, 0, 15, ListRequest{Service: "price"}), nil},
		{"DeadPage", "It has one entry.", broker(10, 16), with(KindDeadPage, 0, 15, DeadPage{Entries: []DeadLetter{goldenLetter()}, Dropped: 2}), nil},
		{"GetDead", "Request 16 asks for that entry.", client(17, 10), with(KindGetDead, 0, 16, GetDead{ID: 3}), nil},
		{"DeadPart", "The entry, with its whole payload.", broker(11, 17), with(KindDeadPart, 0, 16, DeadPart{Letter: goldenLetter(), Payload: []byte("hello")}), nil},
		{"DropDead", "Request 17 drops it.", client(18, 11), with(KindDropDead, 0, 17, DropDead{IDs: []uint64{3}}), nil},
		{"DeadDropped", "It was on the list.", broker(12, 18), with(KindDeadDropped, 0, 17, DeadDropped{Count: 1}), nil},
		{"GetStats", "Request 18 asks for the statistics of session 7.", client(19, 12), with(KindGetStats, 7, 18, GetStats{Session: 7}), nil},
		{"Stats", "They are these.", broker(13, 19), with(KindStats, 7, 18, Stats{
			Since: time.Unix(1_700_000_000, 0), At: time.Unix(1_700_000_060, 0), Submitted: 5, Done: 3, Failed: 1, Flying: 1,
			Executing: Histogram{Counts: []uint64{0, 0, 4}, Sum: 12 * time.Microsecond, Max: 3 * time.Microsecond}, Instances: 1, Most: 1, Slots: 1,
		}), nil},
	}, goldenQueues())
}

// TestGolden holds every message to the bytes in testdata/golden, which docs/rfc quotes.
func TestGolden(t *testing.T) {
	used := map[Kind]bool{KindHeader: true}
	for dialog, messages := range goldens() {
		var file strings.Builder
		for i, g := range messages {
			if i > 0 {
				file.WriteString("\n")
			}
			file.WriteString(g.render(t, used))
		}
		name := filepath.Join("testdata", "golden", dialog+".txt")
		compare(t, name, file.String())
		var bytes []byte
		for _, g := range messages {
			bytes = append(AppendHeader(bytes, g.h), g.records...)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := hexOf(t, string(text)); !slices.Equal(got, bytes) {
			t.Errorf("%s does not hold the bytes of the messages", name)
		}
	}
	for _, k := range Kinds() {
		if !used[k] {
			t.Errorf("no golden frame has a %v", k)
		}
	}
}

// compare holds a file to what it should be, or writes it when the tests run with -update.
func compare(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err == nil && string(got) == want {
		return
	}
	if !*update {
		t.Errorf("%s is not what it should be (%v): see the difference after make generate", name, err)
		return
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

const margin = 50

// render names the bytes of a message, line by line: hexadecimal, then what they are.
func (g golden) render(t *testing.T, used map[Kind]bool) string {
	var b strings.Builder
	line := func(bytes []byte, what string) {
		if what == "" {
			fmt.Fprintf(&b, "% x\n", bytes)
		} else {
			fmt.Fprintf(&b, "%-*s%s\n", margin, fmt.Sprintf("% x", bytes), what)
		}
	}
	fmt.Fprintf(&b, "# %s\n# %s\n", g.name, g.text)
	h := AppendHeader(nil, g.h)
	line(h[:3], fmt.Sprintf("header, version %d", g.h.Version))
	line(h[3:12], fmt.Sprintf("epoch %v", g.h.Epoch))
	line(h[12:21], "incarnation")
	line(h[21:30], fmt.Sprintf("sequence: conversation %d, frame %d", g.h.Sequence.Conversation(), g.h.Sequence.Count()))
	line(h[30:39], fmt.Sprintf("acknowledged: conversation %d, frame %d", g.h.Acked.Conversation(), g.h.Acked.Count()))
	r := NewReader(g.records)
	var rec Record
	for {
		rest := r.records[r.next:]
		ok, err := r.Next(&rec)
		if err != nil {
			t.Fatalf("%s: %v", g.name, err)
		}
		if !ok {
			break
		}
		used[rec.Kind] = true
		line(rest[:2], fmt.Sprintf("array of %d: %v", rest[0]&0x0f, rec.Kind))
		line(rest[2:7], fmt.Sprintf("session field %d", rec.Session))
		line(rest[7:16], fmt.Sprintf("task field %d", rec.Task))
		if rec.External {
			line(rest[16:21], fmt.Sprintf("the payload of %d bytes is the next payload frame", rec.Size))
		} else {
			line(rest[16:21], fmt.Sprintf("payload of %d bytes", rec.Size))
			g.payload(t, &b, rec, line)
		}
		if rec.Ext != nil {
			fmt.Fprintf(&b, "# %s\n", lastElement(&rec))
			for chunk := range slices.Chunk(rec.Ext, 16) {
				line(chunk, "")
			}
		}
	}
	for i, n := range g.payloads {
		fmt.Fprintf(&b, "# payload frame %d: %d bytes\n", i+1, n)
	}
	return b.String()
}

// lastElement says what the last element of a record is.
func lastElement(rec *Record) string {
	switch rec.Kind {
	case KindTask:
		o, _ := rec.Options()
		return fmt.Sprintf("options %+v", o)
	case KindPartial:
		attempt, number, _ := rec.Numbered()
		return fmt.Sprintf("attempt %d, part %d", attempt, number)
	case KindProgress:
		attempt, number, _ := rec.Numbered()
		return fmt.Sprintf("attempt %d, word %d", attempt, number)
	case KindResult, KindFailure:
		attempt, number, _ := rec.Numbered()
		return fmt.Sprintf("attempt %d, after %d parts", attempt, number)
	default:
		x, _ := rec.Execution()
		s := fmt.Sprintf("the client's task %v, attempt %d", x.ID, x.Attempt)
		if x.Timeout > 0 || x.Run > 0 || x.Watch {
			s += fmt.Sprintf(", given up in %v, to run for %v at most, to be watched: %t", x.Timeout, x.Run, x.Watch)
		}
		return s
	}
}

func (g golden) payload(t *testing.T, b *strings.Builder, rec Record, line func([]byte, string)) {
	if rec.Size == 0 {
		return
	}
	body := NewBody(rec.Kind)
	if body == nil {
		line(rec.Payload, fmt.Sprintf("%q", rec.Payload))
		return
	}
	if err := Unmarshal(rec.Kind, rec.Payload, body); err != nil {
		t.Fatalf("%s: %v", g.name, err)
	}
	var v any
	if err := msgpack.Unmarshal(rec.Payload, &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "# %s\n", text)
	for chunk := range slices.Chunk(rec.Payload, 16) {
		line(chunk, "")
	}
}

// hexOf gives the bytes that a golden file spells.
func hexOf(t *testing.T, text string) []byte {
	var all []byte
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, "#") {
			continue
		}
		for _, word := range strings.Fields(l[:min(len(l), margin)]) {
			if len(word) != 2 {
				break
			}
			var v byte
			if _, err := fmt.Sscanf(word, "%02x", &v); err != nil {
				t.Fatalf("%q: %v", l, err)
			}
			all = append(all, v)
		}
	}
	return all
}
