package protocol

import "time"

// Versions of the protocol that this package speaks. HELLO carries the range of its sender; the receiver answers with
// the highest version that both speak.
const (
	MinVersion uint8 = 1
	MaxVersion uint8 = 1
)

// Limits of frames and records. A receiver refuses what is above them before it allocates anything.
const (
	// MaxPayloadFrames is how many payload frames may follow the frame of records in one message.
	MaxPayloadFrames = 16
	// InlinePayload is the size in bytes from which a payload travels in a frame of its own.
	InlinePayload = 8 << 10
	// CutFrame is the size in bytes at which a sender closes a frame of records and begins the next.
	CutFrame = 112 << 10
	// MaxRecords is the largest frame of records in bytes.
	MaxRecords = 2 << 20
	// MaxBody is the largest body of a control record in bytes.
	MaxBody = 1 << 20
	// MaxValues is how many msgpack values a body may have, counted through all levels: it bounds what a small body can
	// make its receiver allocate.
	MaxValues = 1 << 18
	// MaxDataKey is the longest key of what a session keeps at its manager, in bytes.
	MaxDataKey = 256
	// MaxDataValue is the largest value of it in bytes.
	MaxDataValue = 512 << 10
	// MaxSessionData is the most that limits.data may allow, in bytes.
	MaxSessionData = 64 << 20
	// PartialWindow is how many bytes of parts of a task's result an instance may have sent that were not granted anew, for
	// it to send one more. Each part counts 64 bytes more than it has.
	PartialWindow = 256 << 10
	// MaxPartial is the largest part of a task's result in bytes.
	MaxPartial = 256 << 10
	// MaxPage is the largest number of entries in one page of an answer.
	MaxPage = 1000
	// MaxEvents is how many events of a session its broker keeps: the last ones.
	MaxEvents = 64
	// MaxText is how many bytes of a text for people a broker keeps and shows: a reason, a name, what an error says. Of a
	// longer one it keeps the beginning.
	MaxText = 4 << 10
	// MaxService is the largest description of a service in bytes, encoded.
	MaxService = MaxBody / 2
	// MaxQueues is how many queues a fabric may have, and how many shapes of containers.
	MaxQueues = 4096
	// MaxMultiple is how many of a shape one container may be.
	MaxMultiple = 4096
	// MaxLabels is how many labels an environment or a node may have.
	MaxLabels = 64
	// MaxLabel is the largest value of a label in bytes.
	MaxLabel = 256
)

// Defaults that a broker announces or applies where its configuration does not say otherwise.
const (
	// DefaultMaxPayload is the largest payload or result of a task in bytes.
	DefaultMaxPayload = 16 << 20
	// DefaultTaskCredit is how many unfinished tasks a session may have.
	DefaultTaskCredit = 65_536
	// DefaultByteCredit is how many bytes of payload a session may have in unfinished tasks.
	DefaultByteCredit = 64 << 20
	// DefaultResultCredit is how many bytes of results a client may leave unconsumed on one data connection.
	DefaultResultCredit = 64 << 20
	// DefaultSessionData is how many bytes a session may keep at its manager.
	DefaultSessionData = 1 << 20
	// DefaultSlots is how many OnTaskExec an instance runs at once.
	DefaultSlots = 1
	// DefaultSessions is how many sessions an instance holds bound.
	DefaultSessions = 10
	// DefaultManagerCPU is how many millicores of its loop a session manager holds.
	DefaultManagerCPU = 20
	// Heartbeat is the longest silence of a peer that has something unfinished, unless WELCOME says otherwise.
	Heartbeat = time.Second
	// PeerTimeout is the silence after which a peer counts as lost, unless WELCOME says otherwise.
	PeerTimeout = 10 * time.Second
	// MinPeerTimeout is the least that a broker may announce as the timeout.
	MinPeerTimeout = time.Second
	// BasePort is the control port; manager loop i listens on BasePort + LoopPort + i.
	BasePort = 7700
	// LoopPort is the distance of the first manager loop's port from the control port.
	LoopPort = 10
)

// HeartbeatWithin is the longest silence that goes with a timeout: at most [Heartbeat], and at least four times in the
// timeout.
func HeartbeatWithin(timeout time.Duration) time.Duration { return min(Heartbeat, timeout/4) }

// Negotiate gives the highest version within both the range lowest to highest and this package's, or a *[Error] with
// [CodeVersion] that names both ranges.
func Negotiate(lowest, highest uint8) (uint8, error) {
	if highest < MinVersion || lowest > MaxVersion || lowest > highest {
		return 0, Errorf(CodeVersion, "Hello", "the peer speaks versions %d to %d of the protocol, this broker %d to %d: upgrade the older",
			lowest, highest, MinVersion, MaxVersion)
	}
	return min(highest, MaxVersion), nil
}
