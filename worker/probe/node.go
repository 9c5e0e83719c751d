// Package probe measures the node that it runs on: what an agent tells the broker when it registers (Node) and again
// and again afterwards (Usage).
//
// What cannot be measured, for want of permission or because the system does not tell, is left at its zero value and
// named in the field Missing; nothing here fails.
package probe

import "github.com/weft-fabric/weft/internal/platform"

// Node is what does not change while a node is up. Sizes are in bytes.
type Node struct {
	Hostname string            `json:"hostname" msgpack:"hostname"`
	Platform platform.Platform `json:"platform" msgpack:"platform"` // operating system and CPU architecture
	System   string            `json:"system" msgpack:"system"`     // the distribution, such as "debian 12.1"
	Kernel   string            `json:"kernel" msgpack:"kernel"`

	CPUModel      string  `json:"cpu_model" msgpack:"cpu_model"`
	CoresLogical  int     `json:"cores_logical" msgpack:"cores_logical"`   // of the machine
	CoresPhysical int     `json:"cores_physical" msgpack:"cores_physical"` // of the machine
	CPULimit      float64 `json:"cpu_limit" msgpack:"cpu_limit"`           // in cores, what a cgroup lets this process use; 0: no limit
	CoresUsable   float64 `json:"cores_usable" msgpack:"cores_usable"`     // the least of cores, affinity and limit

	MemoryTotal  uint64 `json:"memory_total" msgpack:"memory_total"`   // of the machine
	MemoryLimit  uint64 `json:"memory_limit" msgpack:"memory_limit"`   // what a cgroup lets this process use; 0: no limit
	MemoryUsable uint64 `json:"memory_usable" msgpack:"memory_usable"` // the lesser of both

	Disks      []Disk      `json:"disks" msgpack:"disks"`
	Interfaces []Interface `json:"interfaces" msgpack:"interfaces"`

	Missing []string `json:"missing,omitempty" msgpack:"missing,omitempty"` // what could not be measured, and why
}

// Disk is a file system that is kept on a device, or that a folder named in Options is on. Sizes are in bytes.
type Disk struct {
	Mount  string `json:"mount" msgpack:"mount"`
	Device string `json:"device" msgpack:"device"`
	Type   string `json:"type" msgpack:"type"`
	Size   uint64 `json:"size" msgpack:"size"`
	Free   uint64 `json:"free" msgpack:"free"` // to an ordinary user
}

// Interface is a network interface.
type Interface struct {
	Name      string   `json:"name" msgpack:"name"`
	Addresses []string `json:"addresses" msgpack:"addresses"` // with the length of their prefix: 10.0.0.1/24
	MTU       int      `json:"mtu" msgpack:"mtu"`             // bytes
	Speed     uint64   `json:"speed" msgpack:"speed"`         // bits a second; 0: not known
	Up        bool     `json:"up" msgpack:"up"`
	Loopback  bool     `json:"loopback" msgpack:"loopback"`
}

// Usage is what changes all the time. Sizes are in bytes, of the whole machine where not said otherwise.
type Usage struct {
	Uptime int64 `json:"uptime" msgpack:"uptime"` // seconds

	CPUBusy float64 `json:"cpu_busy" msgpack:"cpu_busy"` // cores at work, on average since the Usage before; 0 at first
	Load1   float64 `json:"load1" msgpack:"load1"`
	Load5   float64 `json:"load5" msgpack:"load5"`
	Load15  float64 `json:"load15" msgpack:"load15"`

	MemoryUsed      uint64 `json:"memory_used" msgpack:"memory_used"`
	MemoryAvailable uint64 `json:"memory_available" msgpack:"memory_available"` // to this process: under a cgroup's limit it is what that leaves

	Disks []Disk `json:"disks" msgpack:"disks"`

	NetworkReceived uint64 `json:"network_received" msgpack:"network_received"` // since boot, over all interfaces but loopback
	NetworkSent     uint64 `json:"network_sent" msgpack:"network_sent"`

	Missing []string `json:"missing,omitempty" msgpack:"missing,omitempty"` // what could not be measured, and why
}
