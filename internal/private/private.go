// Package private makes files that other users of the machine cannot read, and tells which they
// can: by modes on Unix, by access lists on Windows.
//
// On Windows, what it makes is for SYSTEM, the administrators, the user who runs the program, and
// the account of the relay's service, which is named by its SID whether the service is installed or
// not: an administrator's set-up can then write what the service will read. Nothing is inherited
// from the folder above, since ProgramData lets everybody read.
package private
