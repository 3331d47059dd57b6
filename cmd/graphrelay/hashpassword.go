package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"

	"graphrelay/internal/text"
	"graphrelay/relay/operators"
)

func hashPasswordCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "hash-password",
		Short: "read a password from standard input and print its hash for users",
		Long: `Reads a password from standard input and prints its bcrypt hash, for users and for operators in
the configuration. The password is no argument, to keep it out of process lists and shell
histories. In a terminal it is asked for and not shown.

With --token it reads nothing, and prints a new random token for a program that uses the API, and
the token's hash for admin.tokens in the configuration. The token is not kept anywhere else.`,
		Example: `  graphrelay hash-password
  printf %s SECRET | graphrelay hash-password
  graphrelay hash-password --token`,
		Args: noOperands,
	}
	token := c.Flags().Bool("token", false, "print a new token for the API, and its hash")
	c.RunE = func(*cobra.Command, []string) error {
		if *token {
			secret, hash := operators.NewToken()
			_, err := fmt.Fprintf(e.stdout, "token:      %s\ntoken_hash: %s\n", secret, hash)
			return err
		}
		return hashPassword(e)
	}
	return c
}

func hashPassword(e env) error {
	password, err := readPassword(e)
	if err != nil {
		return err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return fmt.Errorf("cannot hash the password: %w; bcrypt takes at most 72 bytes", err)
	}
	_, err = fmt.Fprintln(e.stdout, string(hash))
	return err
}

var errNoPassword = errors.New("no password on standard input; give it there, as in: printf %s SECRET | graphrelay hash-password")

func readPassword(e env) (string, error) {
	if f, ok := e.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(e.stderr, "Password: ")
		p, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(e.stderr)
		if err == nil && len(p) == 0 {
			err = errors.New("the password is empty")
		}
		return string(p), err
	}
	line, err := readLine(bufio.NewReader(e.stdin))
	if err != nil {
		return "", fmt.Errorf("standard input %w", err)
	}
	if line == "" {
		return "", errNoPassword
	}
	return line, nil
}

// maxPassword is how many bytes of standard input are read; bcrypt takes 72.
const maxPassword = 4096

// readLine reads the first line. PowerShell may write it with a byte order mark or in UTF-16.
func readLine(r *bufio.Reader) (string, error) {
	var data []byte
	var err error
	if mark, _ := r.Peek(2); string(mark) == "\xff\xfe" || string(mark) == "\xfe\xff" {
		data, err = io.ReadAll(io.LimitReader(r, maxPassword))
	} else {
		data, err = r.ReadBytes('\n')
	}
	if err == nil || err == io.EOF {
		data, err = text.Decode(data)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimRight(line, "\r"), err
}
