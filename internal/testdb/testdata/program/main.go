// Program is what the tests of the harness run.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
)

func main() {
	switch os.Args[1] {
	case "exit": // with that code, after some words and the environment's
		code, _ := strconv.Atoi(os.Args[2])
		in, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Print("out ", in)
		for _, v := range os.Environ() {
			if strings.HasPrefix(v, "DBROLLBACK_") {
				fmt.Fprintln(os.Stderr, v)
			}
		}
		os.Exit(code)
	case "write": // into a file, for ever
		f, err := os.Create(os.Args[2])
		if err != nil {
			panic(err)
		}
		for {
			if _, err := f.WriteString("x"); err != nil {
				panic(err)
			}
		}
	case "interrupt": // waits for Ctrl-C
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		fmt.Println("ready")
		<-c
		os.Exit(130)
	}
}
