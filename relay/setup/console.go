package setup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"graphrelay/internal/text"
)

// console asks questions on a terminal. Without one, each question has its default.
type console struct {
	in    io.Reader // nil: nobody is there to answer
	out   io.Writer
	lines chan string // what was typed; closed at the end of the input
}

// maxLine is how many bytes of a line that was typed are read.
const maxLine = 16 << 10

// errNobody means that a question has no default, and nobody is there to answer.
var errNobody = errors.New("nobody is at a terminal to answer")

// typed returns the channel of the lines that are typed. One goroutine reads them for all
// questions, so that a question that is given up does not take the line of the next one.
func (c *console) typed() <-chan string {
	if c.in == nil || c.lines != nil {
		return c.lines
	}
	c.lines = make(chan string)
	go func() {
		defer close(c.lines)
		scanner := bufio.NewScanner(c.in)
		scanner.Buffer(nil, maxLine)
		for scanner.Scan() {
			c.lines <- strings.TrimSpace(scanner.Text())
		}
	}()
	return c.lines
}

func (c *console) say(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }

// read returns the next line that is typed.
func (c *console) read(ctx context.Context) (string, error) {
	select {
	case line, ok := <-c.typed():
		if !ok {
			return "", errors.New("the input has ended")
		}
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// line asks a question until the answer passes the check. Without a terminal, the error names
// flag, with which the question can be answered.
func (c *console) line(ctx context.Context, flag, question, byDefault string, check func(string) error) (string, error) {
	if c.in == nil {
		if err := check(byDefault); err != nil || byDefault == "" {
			return "", fmt.Errorf("%w the question %q; give --%s", errNobody, question, flag)
		}
		return byDefault, nil
	}
	for {
		c.say("\n%s", question)
		if byDefault != "" {
			fmt.Fprintf(c.out, "[%s] ", byDefault)
		}
		fmt.Fprint(c.out, "> ")
		answer, err := c.read(ctx)
		if err != nil {
			return "", err
		}
		if answer == "" {
			answer = byDefault
		}
		if err := check(answer); err == nil {
			return answer, nil
		} else {
			c.say("%s.", text.Printable(err.Error()))
		}
	}
}

// option is one of the answers to a question.
type option struct{ name, about string }

// choose asks for one of the options, by its number or its name.
func (c *console) choose(ctx context.Context, flag, question string, options []option, byDefault string) (string, error) {
	var b strings.Builder
	b.WriteString(question)
	for i, o := range options {
		fmt.Fprintf(&b, "\n  %d  %s", i+1, o.name)
		if o.about != "" {
			b.WriteString(": " + o.about)
		}
	}
	find := func(answer string) string {
		number, _ := strconv.Atoi(answer)
		for i, o := range options {
			if number == i+1 || answer != "" && strings.HasPrefix(o.name, strings.ToLower(answer)) {
				return o.name
			}
		}
		return ""
	}
	answer, err := c.line(ctx, flag, b.String(), byDefault, func(s string) error {
		if find(s) == "" {
			return errors.New("write one of the numbers")
		}
		return nil
	})
	return find(answer), err
}

// confirm asks a question whose answer is yes or no. Without a terminal the answer is byDefault.
func (c *console) confirm(ctx context.Context, question string, byDefault bool) (bool, error) {
	name := map[bool]string{true: "yes", false: "no"}
	answer, err := c.line(ctx, "yes", question, name[byDefault], func(s string) error {
		if s = strings.ToLower(s); s == "" || !strings.HasPrefix("yes", s) && !strings.HasPrefix("no", s) {
			return errors.New("write yes or no")
		}
		return nil
	})
	return strings.HasPrefix(strings.ToLower(answer), "y"), err
}
