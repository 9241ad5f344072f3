// Package adapter is what the drivers share whose engine is another program: a server on this
// machine or near it, or a process.
//
// Such a program is not trusted. What it sends is bounded in size and in time, a picture is
// decoded before it is believed, and its own words never become part of an error, as they could
// quote the prompt. The errors say what package engine asks for: a request that can never succeed,
// a model that is not there, or an engine that is broken.
//
// The package must not know any one program's interface.
package adapter
