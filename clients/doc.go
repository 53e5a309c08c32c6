// Package clients holds no code: its tests put the stack under the clients that
// people use, and its examples show how. What is to be set and what to be switched
// off, client by client, is in docs/clients.md.
package clients
