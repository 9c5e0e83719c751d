package protocol

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The parts of docs/rfc between <!-- WHAT ARGUMENTS --> and <!-- end --> come from this package's source, doc comments
// included, and from the golden files, so that document and code cannot drift apart. The test holds them to it:
//
//	<!-- kinds Hello Welcome -->   a table of kinds
//	<!-- fields Hello -->          a table of the fields of a body
//	<!-- codes -->                 the table of error codes
//	<!-- constants limits -->      the constants of a file
//	<!-- golden DIALOG Name -->    a message of a golden file
//
//go:generate go test -count=1 -run=^TestGolden|^TestSpecification . -update

const rfc = "../docs/rfc"

var part = regexp.MustCompile(`(?s)(<!-- (kinds|fields|codes|constants|golden) ?([^>\n]*?) -->\n).*?(<!-- end -->)`)

func TestSpecification(t *testing.T) {
	src := readSource(t)
	quoted, described := map[string]bool{}, map[string]bool{}
	names, err := filepath.Glob(filepath.Join(rfc, "*.md"))
	if err != nil || len(names) < 9 {
		t.Fatalf("%d documents, %v", len(names), err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, name, part.ReplaceAllStringFunc(string(text), func(old string) string {
			m := part.FindStringSubmatch(old)
			var b strings.Builder
			switch what, args := m[2], m[3]; what {
			case "kinds":
				for _, k := range strings.Fields(args) {
					quoted["kind "+k] = true
				}
				src.kinds(t, &b, strings.Fields(args))
			case "fields":
				described[args] = true
				src.fields(t, &b, args)
			case "codes":
				src.codes(&b)
			case "constants":
				src.constants(t, &b, args)
			case "golden":
				quoted[args] = true
				src.golden(t, &b, args)
			}
			return m[1] + "\n" + b.String() + "\n" + m[4]
		}))
	}
	for dialog, messages := range goldens() {
		for _, g := range messages {
			if !quoted[dialog+" "+g.name] {
				t.Errorf("docs/rfc does not quote the golden message %s %s", dialog, g.name)
			}
		}
	}
	for _, k := range Kinds() {
		if !quoted["kind "+k.String()] {
			t.Errorf("docs/rfc has %v in no table of kinds", k)
		}
		if body := NewBody(k); body != nil {
			if name := reflect.TypeOf(body).Elem().Name(); !described[name] {
				t.Errorf("docs/rfc does not describe the body %s", name)
			}
		}
	}
	for name := range src.structs {
		if used[name] && !described[name] {
			t.Errorf("docs/rfc does not describe %s, which bodies refer to", name)
		}
	}
}

// used names what is a part of bodies without being one.
var used = map[string]bool{
	"Artefact": true, "Capacity": true, "ContainerRequest": true, "Instances": true, "Interface": true, "Limits": true,
	"ServiceInfo": true, "SessionInfo": true, "NodeInfo": true, "NodeDetail": true, "Disk": true, "NIC": true, "Container": true,
	"Identity": true, "EnvironmentInfo": true, "SessionEvent": true, "Retry": true, "Failure": true, "DeadLetter": true,
	"InstanceRef": true, "Queue": true, "QueueChange": true, "FieldChange": true, "QueueInfo": true, "BrokerGlance": true, "NodesGlance": true,
	"DeviceGlance": true, "QueuesGlance": true, "QueueWaiting": true, "ContainersGlance": true, "SessionsGlance": true,
	"ExplainedRequest": true, "Reason": true,
}

// source is what the documents need of this package's source.
type source struct {
	comments map[string]string // of constants
	order    map[string][]string
	structs  map[string]*ast.StructType
	docs     map[string]string // of structs
}

func readSource(t *testing.T) *source {
	t.Helper()
	s := &source{
		comments: map[string]string{}, order: map[string][]string{},
		structs: map[string]*ast.StructType{}, docs: map[string]string{},
	}
	for _, file := range []string{"kinds", "errors", "limits", "messages", "tasks", "stats", "queues", "service", "request"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file+".go", nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				for _, spec := range g.Specs {
					s.spec(file, g, spec)
				}
			}
		}
	}
	return s
}

func (s *source) spec(file string, decl *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		if decl.Tok == token.CONST {
			name := spec.Names[0].Name
			s.order[file] = append(s.order[file], name)
			s.comments[name] = text(spec.Doc, spec.Comment)
		}
	case *ast.TypeSpec:
		if st, ok := spec.Type.(*ast.StructType); ok {
			s.structs[spec.Name.Name] = st
			s.docs[spec.Name.Name] = text(spec.Doc, decl.Doc)
		}
	}
}

var link = regexp.MustCompile(`\[([A-Z]\w*(\.\w+)?)\]`)

// text gives the first of two comments that is there, in one line, fit for a cell of a table.
func text(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if g != nil {
			one := strings.Join(strings.Fields(g.Text()), " ")
			return strings.ReplaceAll(link.ReplaceAllString(one, "$1"), "|", "\\|")
		}
	}
	return ""
}

func (s *source) kinds(t *testing.T, b *strings.Builder, names []string) {
	b.WriteString("| kind | name | payload | meaning |\n| --- | --- | --- | --- |\n")
	for _, name := range names {
		at := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.String() == name })
		if at < 0 {
			t.Errorf("there is no kind %s", name)
			continue
		}
		k := Kinds()[at]
		payload := "empty"
		if body := NewBody(k); body != nil {
			payload = reflect.TypeOf(body).Elem().Name()
		} else if k == KindTask || k == KindDispatch || k == KindResult {
			payload = "the application's"
		}
		comment := s.comments["Kind"+name]
		if comment == "" {
			t.Errorf("Kind%s has no comment", name)
		}
		fmt.Fprintf(b, "| %d | %s | %s | %s |\n", uint8(k), name, payload, comment)
	}
}

func (s *source) fields(t *testing.T, b *strings.Builder, name string) {
	st := s.structs[name]
	if st == nil {
		t.Errorf("there is no struct %s", name)
		return
	}
	fmt.Fprintf(b, "%s\n\n| key | type | presence | meaning |\n| --- | --- | --- | --- |\n", s.docs[name])
	for _, f := range st.Fields.List {
		key, options, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
		presence := "always"
		if strings.HasPrefix(options, "omit") {
			presence = "optional"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", key, wireType(f.Type), presence, text(f.Comment, f.Doc))
	}
}

// wireType says how a field's type travels.
func wireType(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return wireType(e.X)
	case *ast.ArrayType:
		if i, ok := e.Elt.(*ast.Ident); ok && i.Name == "byte" {
			return "bin"
		}
		return "array of " + wireType(e.Elt)
	case *ast.MapType:
		return "map of " + wireType(e.Key) + " to " + wireType(e.Value)
	case *ast.SelectorExpr:
		if e.Sel.Name == "Duration" {
			return "int (ns)"
		}
		return "timestamp"
	case *ast.Ident:
		switch e.Name {
		case "string":
			return "str"
		case "bool":
			return "bool"
		case "int", "int64":
			return "int"
		case "uint8", "uint16", "uint32", "uint64", "Epoch", "Stamp", "Code":
			return "uint"
		case "float64":
			return "float"
		case "Duration":
			return `str ("1m30s")`
		case "Artefacts":
			return "map of str to Artefact"
		case "Decimal":
			return `str ("33.3")`
		case "Amounts":
			return "map of str to int"
		case "Quantities":
			return "map of str to float"
		case "Shapes":
			return "map of str to Capacity"
		default:
			return e.Name
		}
	}
	return "?"
}

func (s *source) codes(b *strings.Builder) {
	b.WriteString("| code | name | retry | meaning |\n| --- | --- | --- | --- |\n")
	for _, c := range Codes() {
		retry := ""
		if c.Retryable() {
			retry = "yes"
		}
		fmt.Fprintf(b, "| %d | %v | %s | %s |\n", uint16(c), c, retry, s.comments["Code"+c.String()])
	}
}

// values are the constants of limits.go as they are to be read.
var values = map[string]any{
	"MinVersion": MinVersion, "MaxVersion": MaxVersion, "MaxPayloadFrames": MaxPayloadFrames, "InlinePayload": InlinePayload,
	"CutFrame": CutFrame, "MaxRecords": MaxRecords, "MaxBody": MaxBody, "MaxValues": MaxValues, "MaxPage": MaxPage,
	"MaxEvents": MaxEvents, "MaxText": MaxText, "MaxService": MaxService, "MaxQueues": MaxQueues, "MaxMultiple": MaxMultiple, "MaxLabels": MaxLabels, "MaxLabel": MaxLabel,
	"DefaultMaxPayload": DefaultMaxPayload, "DefaultTaskCredit": DefaultTaskCredit, "DefaultByteCredit": DefaultByteCredit,
	"DefaultResultCredit": DefaultResultCredit, "DefaultSlots": DefaultSlots, "DefaultSessions": DefaultSessions,
	"DefaultManagerCPU": DefaultManagerCPU, "MaxDataKey": MaxDataKey, "MaxDataValue": MaxDataValue,
	"MaxSessionData": MaxSessionData, "PartialWindow": PartialWindow, "MaxPartial": MaxPartial, "DefaultSessionData": DefaultSessionData,
	"Heartbeat": Heartbeat, "PeerTimeout": PeerTimeout, "MinPeerTimeout": MinPeerTimeout,
	"BasePort": BasePort, "LoopPort": LoopPort,
}

func (s *source) constants(t *testing.T, b *strings.Builder, file string) {
	b.WriteString("| name | value | meaning |\n| --- | --- | --- |\n")
	for _, name := range s.order[file] {
		v, ok := values[name]
		if !ok {
			t.Errorf("the value of %s is not known to this test", name)
		}
		if d, ok := v.(time.Duration); ok {
			v = d.String()
		}
		fmt.Fprintf(b, "| %s | %v | %s |\n", name, v, s.comments[name])
	}
}

func (s *source) golden(t *testing.T, b *strings.Builder, args string) {
	dialog, name, _ := strings.Cut(args, " ")
	file, err := os.ReadFile(filepath.Join("testdata", "golden", dialog+".txt"))
	if err != nil {
		t.Error(err)
		return
	}
	for message := range strings.SplitSeq(string(file), "\n\n") {
		if strings.HasPrefix(message, "# "+name+"\n") {
			_, message, _ = strings.Cut(message, "\n")
			fmt.Fprintf(b, "```text\n%s\n```\n", strings.TrimSpace(message))
			return
		}
	}
	t.Errorf("there is no golden message %s", args)
}
