// Command wasm is package certificate as a program for browsers: a page calls essaimKey(bytes) once with the model's
// public part, then essaimCheck({picture, receipt, proof, prompt}) for each picture. Both return {ok, error, …} and
// never throw.
//
// It talks to the page it runs in and to nobody else. On other machines it does nothing.
package main

func main() { serve() }
