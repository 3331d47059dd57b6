package refusals

import "graphrelay/relay/reason"

// remedies are what an operator does about a refusal, in one sentence or two. docs/operations.md
// says more about each.
var remedies = map[reason.Reason]string{
	reason.Network:     "If the device is yours, add its address to the networks of this listener. If it is not, nothing needs to be done: it was refused.",
	reason.Connections: "If the clients are yours, raise limits.connections, limits.connections_per_address or limits.connections_per_minute, or have them send more messages in one connection.",
	reason.Protocol:    "The client does not speak SMTP here. Point it at the right port, or correct its TLS setting; a load balancer in proxy_networks has to send the PROXY header.",
	reason.Limits:      "The client sent very many commands, or commands that were refused. Look at its refusals before this one, and correct what it is refused for.",
	reason.Auth:        "Correct the user name and the password in the client. A client that cannot sign in needs a listener with auth: none, and its address in the networks of that listener.",
	reason.Blocked:     "Correct the password in the client. It is accepted again after limits.auth_block; until then, even the right password is refused.",
	reason.Busy:        "Nothing, unless it lasts: then passwords may be being guessed from many addresses at a time, or Microsoft 365 does not answer.",
	reason.Sender:      "Have the client send from an address that has a mailbox in Microsoft 365, or add a rule to senders that names the mailbox for this sender. A user may send from its own senders alone.",
	reason.Recipient:   "Correct the recipient in the client: a full address, in a domain that exists. If the configuration refuses it, see recipients of the listener and of the user.",
	reason.Size:        "Have the client send smaller files, such as scans with a lower resolution, or raise message_size of the connection together with the limit in Exchange.",
	reason.Content:     "The message itself is malformed, or it went round in a circle. The answer names the fault; correct it in the program that sends.",
	reason.Rate:        "The client sends more than rates allow: a loop, a script that runs wild, a stolen password, or a limit that is too low.",
	reason.Storage:     "Make room on the disk of data_dir, or see why it failed or cannot be reached. The client tries again by itself.",
	reason.Full:        "See why mail waits in the queue or is held, and act on it; or raise queue.max_messages or queue.max_size.",
	reason.Graph:       "Microsoft 365 refused the message while the client waited. The answer says why.",
	reason.Aborted:     "Nothing, unless it lasts: the client broke off before its message was complete. Then look at the network between them, or at the time limit of the client.",
	reason.Internal:    "A fault of the relay: its log says more. Please report it. The client tries again by itself.",
}

// Remedy returns what an operator does about a refusal for this reason.
func Remedy(r reason.Reason) string { return remedies[r] }
