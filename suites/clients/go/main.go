// Command check has nats.go do what its users do, against the server at the URL in the environment
// variable NATS_URL.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const patience = 5 * time.Second

func main() {
	log.SetFlags(0)
	time.AfterFunc(time.Minute, func() { log.Fatal("not done after a minute") })
	client, err := nats.Connect(os.Getenv("NATS_URL"), nats.Name("nats.go"))
	if err != nil {
		log.Fatal(err)
	}
	checks := []struct {
		name string
		run  func(*nats.Conn) error
	}{
		{"publish and subscribe", publishAndSubscribe},
		{"queue group", queueGroup},
		{"request and reply", requestAndReply},
		{"headers", headers},
		{"drain", drain},
	}
	for _, check := range checks {
		if err := check.run(client); err != nil {
			log.Fatalf("%s: %v", check.name, err)
		}
		fmt.Println("ok", check.name)
	}
	client.Close()
}

func publishAndSubscribe(client *nats.Conn) error {
	subscription, err := client.SubscribeSync("go.*.created")
	if err != nil {
		return err
	}
	for number := range 100 {
		if err := client.Publish("go.order.created", []byte(strconv.Itoa(number))); err != nil {
			return err
		}
	}
	for number := range 100 {
		message, err := subscription.NextMsg(patience)
		if err != nil {
			return err
		}
		if string(message.Data) != strconv.Itoa(number) || message.Subject != "go.order.created" {
			return fmt.Errorf("message %d is %q on %s", number, message.Data, message.Subject)
		}
	}
	return subscription.Unsubscribe()
}

func queueGroup(client *nats.Conn) error {
	var counts [3]atomic.Int64
	for index := range counts {
		count := func(*nats.Msg) { counts[index].Add(1) }
		if _, err := client.QueueSubscribe("go.work", "workers", count); err != nil {
			return err
		}
	}
	for range 300 {
		if err := client.Publish("go.work", nil); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(patience)
	for counts[0].Load()+counts[1].Load()+counts[2].Load() < 300 {
		if time.Now().After(deadline) {
			return errors.New("not every message came")
		}
		time.Sleep(time.Millisecond)
	}
	for index := range counts {
		if counts[index].Load() == 0 {
			return fmt.Errorf("member %d had nothing to do", index)
		}
	}
	return nil
}

func requestAndReply(client *nats.Conn) error {
	service, err := client.Subscribe("go.double", func(message *nats.Msg) {
		_ = message.Respond(append(message.Data, message.Data...))
	})
	if err != nil {
		return err
	}
	answer, err := client.Request("go.double", []byte("ab"), patience)
	if err != nil {
		return err
	}
	if string(answer.Data) != "abab" {
		return fmt.Errorf("the answer is %q", answer.Data)
	}
	if err := service.Unsubscribe(); err != nil {
		return err
	}
	if _, err := client.Request("go.nobody", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("without a responder: %v", err)
	}
	return nil
}

func headers(client *nats.Conn) error {
	subscription, err := client.SubscribeSync("go.headers")
	if err != nil {
		return err
	}
	sent := nats.NewMsg("go.headers")
	sent.Header.Set("Traceparent", "00-1-2-01")
	sent.Header.Add("Tag", "a")
	sent.Header.Add("Tag", "b")
	sent.Data = []byte("body")
	if err := client.PublishMsg(sent); err != nil {
		return err
	}
	got, err := subscription.NextMsg(patience)
	if err != nil {
		return err
	}
	if got.Header.Get("Traceparent") != "00-1-2-01" || len(got.Header.Values("Tag")) != 2 || string(got.Data) != "body" {
		return fmt.Errorf("got %v %q", got.Header, got.Data)
	}
	return nil
}

func drain(client *nats.Conn) error {
	var count atomic.Int64
	subscription, err := client.Subscribe("go.drain", func(*nats.Msg) { count.Add(1) })
	if err != nil {
		return err
	}
	for range 50 {
		if err := client.Publish("go.drain", []byte("x")); err != nil {
			return err
		}
	}
	if err := client.Flush(); err != nil {
		return err
	}
	if err := subscription.Drain(); err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for count.Load() < 50 {
		if time.Now().After(deadline) {
			return fmt.Errorf("only %d of 50 before the drain was over", count.Load())
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}
