package costs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkCycle takes messages of 10 KB through a whole relay: from SMTP sessions, through 50
// mailboxes, with two requests to a Graph that answers at once over HTTP/1.1, to the record that
// they were sent. It prints the microseconds of a processor that each stage takes for a message, by
// a profile of the process. Neither the client nor Graph counts.
func BenchmarkCycle(b *testing.B) {
	g := startGraph(b)
	sent := newSentLog()
	relay := startRelay(b, g, sent)
	address := relay.Address("127.0.0.1:0")
	var list [50]transaction
	for i := range list {
		from := fmt.Sprintf("m%d@contoso.test", i)
		list[i] = transactionOf(from, strings.ReplaceAll(tenKilobytes(), "scanner@contoso.test", from))
	}
	const sessions = 8
	send := func(messages int) {
		var wg sync.WaitGroup
		for s := range sessions {
			wg.Go(func() {
				c := dialRelay(b, address)
				for i := s; i < messages; i += sessions {
					c.send(list[i%len(list)])
				}
			})
		}
		wg.Wait()
		for range messages {
			<-sent.each
		}
	}
	send(len(list)) // until the mailboxes are known to respond

	profile := filepath.Join(b.TempDir(), "cpu")
	f, err := os.Create(profile)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ResetTimer()
	if err := pprof.StartCPUProfile(f); err != nil {
		b.Fatal(err)
	}
	send(b.N)
	pprof.StopCPUProfile()
	b.StopTimer()
	total := 0.0
	for stage, used := range readStages(b, profile) {
		if stage == apart {
			continue
		}
		perMessage := float64(used.Nanoseconds()) / 1000 / float64(b.N)
		total += perMessage
		b.ReportMetric(perMessage, stage+"-µs/op")
	}
	b.ReportMetric(total, "all-µs/op")
}

// apart is what the client and Graph take.
const apart = "apart"

// stages are told by the outermost function of a stack that begins with one of these texts.
var stages = []struct{ function, stage string }{
	{"graphrelay/test/costs.", apart},
	{"graphrelay/relay/smtpd.", "accept"},
	{"github.com/emersion/go-smtp.", "accept"},
	{"graphrelay/relay/queue.(*Queue).insert", "accept"},
	{"graphrelay/relay/queue.(*writer).Commit.", "accept"},
	{"graphrelay/relay/queue.(*Queue).Claim", "claim"},
	{"graphrelay/relay/queue.(*Queue).claim", "claim"},
	{"graphrelay/relay/delivery.(*slots)", "claim"},
	{"graphrelay/relay/delivery/graphmail.(*transfer).read", "convert"},
	{"graphrelay/graph.", "request"},
	{"net/http.", "request"},
	{"graphrelay/relay/queue.(*Queue).Save", "record"},
	{"graphrelay/relay/queue.(*Queue).Finish", "finish"},
	{"graphrelay/relay/queue.(*Queue).finish", "finish"},
	{"graphrelay/relay/delivery.(*job).report", "finish"},
	{"graphrelay/relay/queue/sqlite.(*transaction).begin", "commit"},
	{"graphrelay/relay/queue/sqlite.(*transaction).commit", "commit"},
	{"runtime.gcBgMarkWorker", "gc"},
	{"runtime.bgsweep", "gc"},
	{"runtime.bgscavenge", "gc"},
	{"runtime.mcall", "scheduler"},
	{"runtime.mstart", "scheduler"},
	{"runtime.goexit0", "scheduler"},
	{"runtime.sysmon", "scheduler"},
}

// readStages returns the time of a processor that each stage has taken, by a profile.
func readStages(b *testing.B, profile string) map[string]time.Duration {
	b.Helper()
	text, err := exec.Command("go", "tool", "pprof", "-traces", "-unit=us", profile).Output()
	if err != nil {
		b.Fatalf("go tool pprof: %v", err)
	}
	_, stacks, _ := bytes.Cut(text, []byte("-----------+"))
	all := map[string]time.Duration{}
	for trace := range strings.SplitSeq(string(stacks), "-----------+") {
		_, trace, _ := strings.Cut(trace, "\n")
		fields := strings.Fields(trace) // the time, and then the functions, the innermost first
		if len(fields) < 2 {
			continue
		}
		used, err := time.ParseDuration(fields[0])
		if err != nil {
			b.Fatalf("go tool pprof: %q: %v", trace, err)
		}
		all[stageOf(fields[1:])] += used
	}
	return all
}

func stageOf(stack []string) string {
	for i := len(stack) - 1; i >= 0; i-- {
		for _, s := range stages {
			if strings.HasPrefix(stack[i], s.function) {
				return s.stage
			}
		}
	}
	return "rest"
}
