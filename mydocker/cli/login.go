package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/credentials"
	"github.com/docker/cli/cli/config/types"
	"github.com/moby/term"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

// hub is the name under which credentials for docker.io are kept.
const hub = "https://index.docker.io/v1/"

type loginOptions struct {
	user, password *string // nil: not given
	fromStdin      bool
}

func loginCommand(s *session) *command {
	o := &loginOptions{}
	return &command{
		Usage: "Authenticate to a registry", ArgsUsage: "[OPTIONS] [SERVER]",
		Description: "mydocker login -u me --password-stdin registry.example:5000 < password",
		Flags: flags("",
			optional(&o.password, text, "p,password", "Password or Personal Access Token (PAT)"),
			boolean(&o.fromStdin, "password-stdin", "Take the Password or Personal Access Token (PAT) from stdin"),
			optional(&o.user, text, "u,username", "Username"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			auth := types.AuthConfig{ServerAddress: serverKey(strings.Join(args, ""))}
			file, err := credentialsFile()
			if err == nil {
				err = o.complete(&auth)
			}
			if err != nil {
				return exit(1, "%w", err)
			}
			return login(e, file, auth)
		}),
	}
}

// credentialsFile is Docker's ~/.docker/config.json, or in the directory DOCKER_CONFIG.
func credentialsFile() (*configfile.ConfigFile, error) {
	file, err := config.Load("")
	if err == nil && !file.ContainsAuth() {
		file.CredentialsStore = credentials.DetectDefaultStore(file.CredentialsStore)
	}
	return file, err
}

// serverKey is the name under which the credentials for a server are kept.
func serverKey(server string) string {
	if server == "" || server == "docker.io" || server == hub {
		return hub
	}
	return credentials.ConvertToHostname(server)
}

// complete checks the flags and takes what they say, the password perhaps from standard input.
func (o *loginOptions) complete(auth *types.AuthConfig) error {
	switch {
	case o.fromStdin && o.password != nil:
		return errors.New("conflicting options: cannot specify both --password and --password-stdin")
	case o.fromStdin && o.user == nil:
		return errors.New("the --password-stdin option requires --username to be set")
	case o.user != nil && *o.user == "":
		return errors.New("username is empty")
	case o.password != nil && *o.password == "":
		return errors.New("password is empty")
	}
	if o.user != nil {
		auth.Username = *o.user
	}
	if o.password != nil {
		fmt.Fprintln(os.Stderr, "WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
		auth.Password = *o.password
	}
	if o.fromStdin {
		input, err := io.ReadAll(os.Stdin)
		auth.Password = strings.TrimSuffix(strings.TrimSuffix(string(input), "\n"), "\r")
		return err
	}
	return nil
}

// login tries the stored credentials, unless others were given, and asks for what is missing.
func login(e *engine.Engine, file *configfile.ConfigFile, auth types.AuthConfig) error {
	var stored types.AuthConfig
	if auth.Username == "" && auth.Password == "" {
		var err error
		if stored, err = file.GetAuthConfig(auth.ServerAddress); err != nil {
			return exit(1, "%w", err)
		}
		stored.ServerAddress, stored.IdentityToken = auth.ServerAddress, ""
	}
	if stored.Username != "" && stored.Password != "" {
		fmt.Fprintf(os.Stderr, "Authenticating with existing credentials... [Username: %s]\n\n"+
			" Info -> To login with a different account, run '%[2]s logout' followed by '%[2]s login'\n\n\n", stored.Username, name)
		err := authenticate(e, file, stored)
		if err == nil {
			return nil
		}
		fmt.Fprintln(os.Stderr, "Login did not succeed, error:", err)
	}
	if err := ask(&auth, stored.Username); err != nil {
		return err
	}
	return authenticate(e, file, auth)
}

// authenticate keeps credentials that the registry accepts.
func authenticate(e *engine.Engine, file *configfile.ConfigFile, auth types.AuthConfig) error {
	server := auth.ServerAddress
	if server == hub {
		server = ""
	}
	token, err := e.Login(context.Background(), server, auth.Username, auth.Password)
	if err != nil {
		return err
	}
	if token != "" {
		auth.Password, auth.IdentityToken = "", token
	}
	if err := file.GetCredentialsStore(auth.ServerAddress).Store(auth); err != nil {
		return exit(1, "Error saving credentials: %w", err)
	}
	fmt.Println("Login Succeeded")
	return nil
}

// ask asks on the terminal for what is missing; last is who logged in before.
func ask(auth *types.AuthConfig, last string) (err error) {
	if auth.Username != "" && auth.Password != "" {
		return nil
	}
	if !term.IsTerminal(0) {
		return exit(1, "Error: Cannot perform an interactive login from a non TTY device")
	}
	input := bufio.NewReader(os.Stdin)
	if auth.Username = strings.TrimSpace(auth.Username); auth.Username == "" {
		label := "Username: "
		if last != "" {
			label = fmt.Sprintf("Username (%s): ", last)
		}
		if auth.Username, err = prompt(input, label); err != nil {
			return err
		}
		if auth.Username = cmp.Or(auth.Username, last); auth.Username == "" {
			return exit(1, "Error: Non-null Username Required")
		}
	}
	if auth.Password = strings.TrimSpace(auth.Password); auth.Password == "" {
		if auth.Password, err = promptUnseen(input, "Password: "); err == nil && auth.Password == "" {
			err = exit(1, "Error: Password Required")
		}
	}
	return err
}

func prompt(input *bufio.Reader, label string) (string, error) {
	fmt.Print(label)
	line, err := input.ReadString('\n')
	if err != nil && err != io.EOF {
		return "", exit(1, "read the terminal: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// promptUnseen is prompt without echo. A signal that ends the program restores it first.
func promptUnseen(input *bufio.Reader, label string) (string, error) {
	state, err := term.SaveState(0)
	if err != nil {
		return "", exit(1, "%w", err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	defer signal.Stop(ended)
	go func() {
		s := <-ended
		term.RestoreTerminal(0, state)
		fmt.Println()
		os.Exit(128 + int(s.(syscall.Signal)))
	}()
	if err := term.DisableEcho(0, state); err != nil {
		return "", exit(1, "%w", err)
	}
	line, err := prompt(input, label)
	fmt.Println()
	return line, errors.Join(err, term.RestoreTerminal(0, state))
}

func logoutCommand(*session) *command {
	return &command{
		Usage: "Log out from a registry", ArgsUsage: "[SERVER]",
		Description: "mydocker logout registry.example:5000",
		Action: func(c *cli.Context) error {
			file, err := credentialsFile()
			if err != nil {
				return exit(1, "%w", err)
			}
			server := cmp.Or(c.Args().First(), hub)
			called, servers := server, []string{server, serverKey(server)}
			if server != hub { // older programs have kept it in other forms
				called = credentials.ConvertToHostname(server)
				servers = append(servers, "http://"+called, "https://"+called)
			}
			fmt.Println("Removing login credentials for", called)
			var errs []error
			for _, server := range servers {
				errs = append(errs, file.GetCredentialsStore(server).Erase(server))
			}
			if !slices.Contains(errs, nil) {
				fmt.Fprintf(os.Stderr, "WARNING: could not erase credentials:\n%v\n", errors.Join(errs...))
			}
			return nil
		},
	}
}
