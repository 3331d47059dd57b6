package setup

import (
	"fmt"
	"strings"

	"graphrelay/relay/config"
)

// psQuote quotes a text for PowerShell, in which nothing in single quotes has a meaning but
// these themselves.
func psQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// exchangeName returns the name that the commands give to the scope, the assignments and the
// mark of the mailboxes in Exchange. Each application has another one.
func (s *state) exchangeName() string { return "graphrelay-" + s.ClientID[:8] }

// exchangeRoles are the roles of RBAC for Applications, each with the end of the name of its
// assignment.
var exchangeRoles = [][2]string{{"Application Mail.ReadWrite", "write"}, {"Application Mail.Send", "send"}}

// connectExchange returns the command that connects to the Exchange Online of a cloud
// (connect-to-exchange-online-powershell).
func connectExchange(cloud config.Cloud) string {
	environment := map[config.Cloud]string{config.CloudUSGov: "O365USGovGCCHigh", config.CloudUSGovDoD: "O365USGovDoD", config.CloudChina: "O365China"}[cloud]
	if environment == "" {
		return "Connect-ExchangeOnline"
	}
	return "Connect-ExchangeOnline -ExchangeEnvironmentName " + environment
}

// exchangeCommands returns the commands that give the application its rights in the
// mailboxes, and in no other (application-rbac).
func (s *state) exchangeCommands() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	c, name := s.Choices, s.exchangeName()
	line("%s", connectExchange(c.Cloud))
	line("New-ServicePrincipal -AppId %s -ObjectId %s -DisplayName %s", psQuote(s.ClientID), psQuote(s.Principal), psQuote(c.Name))
	line("# %s marks the mailboxes. It has to be empty before:", c.Attribute)
	for _, m := range c.Mailboxes {
		line("Get-Mailbox -Identity %s | Format-List PrimarySmtpAddress, %s", psQuote(m), c.Attribute)
	}
	for _, m := range c.Mailboxes {
		line("Set-Mailbox -Identity %s -%s %s", psQuote(m), c.Attribute, psQuote(name))
	}
	line("New-ManagementScope -Name %s -RecipientRestrictionFilter \"%s -eq %s\"", psQuote(name), c.Attribute, psQuote(name))
	for _, role := range exchangeRoles {
		line("New-ManagementRoleAssignment -Name %s -App %s -Role %s -CustomResourceScope %s", psQuote(name+"-"+role[1]), psQuote(s.ClientID), psQuote(role[0]), psQuote(name))
	}
	line("# These have to show both roles, with InScope True:")
	for _, m := range c.Mailboxes {
		line("Test-ServicePrincipalAuthorization -Identity %s -Resource %s | Format-Table", psQuote(s.ClientID), psQuote(m))
	}
	return b.String()
}

// removeCommands returns the commands that remove from Exchange what exchangeCommands made.
func (s *state) removeCommands() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	c, name := s.Choices, s.exchangeName()
	line("%s", connectExchange(c.Cloud))
	for _, role := range exchangeRoles {
		line("Remove-ManagementRoleAssignment -Identity %s -Confirm:$false", psQuote(name+"-"+role[1]))
	}
	line("Remove-ManagementScope -Identity %s -Confirm:$false", psQuote(name))
	for _, m := range c.Mailboxes {
		line("Set-Mailbox -Identity %s -%s $null", psQuote(m), c.Attribute)
	}
	line("Remove-ServicePrincipal -Identity %s -Confirm:$false", psQuote(s.Principal))
	return b.String()
}

// indent indents the lines of a text for the terminal.
func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ")
}
