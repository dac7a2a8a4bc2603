// Two clients of Go against one broker: sarama (admin, every codec, groups, transactions) as 2.1, 2.8 and its newest, then segmentio's
// kafka-go. usage: kafka_go HOST:PORT [log]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
)

var failed, passed int

func check(name string, err error) bool {
	if err != nil {
		failed++
		fmt.Printf("FAIL %s: %v\n", name, err)
		return false
	}
	passed++
	fmt.Printf("ok   %s\n", name)
	return true
}

func want(name string, got, wanted any) {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		check(name, fmt.Errorf("%v instead of %v", got, wanted))
	} else {
		check(name, nil)
	}
}

func config(version sarama.KafkaVersion) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = version
	c.ClientID = "sarama-test"
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	return c
}

type group struct {
	mutex sync.Mutex
	seen  map[string]int
	total int
	want  int
	done  context.CancelFunc
}

func (g *group) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (g *group) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (g *group) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, open := <-claim.Messages():
			if !open {
				return nil
			}
			session.MarkMessage(m, "seen")
			g.mutex.Lock()
			g.seen[string(m.Value)]++
			g.total++
			if g.total >= g.want {
				session.Commit()
				g.done()
			}
			g.mutex.Unlock()
		case <-session.Context().Done():
			return nil
		}
	}
}

func consume(address, name, topic string, c *sarama.Config, count int, assignor sarama.BalanceStrategy) (*group, error) {
	if assignor != nil {
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{assignor}
	}
	members, err := sarama.NewConsumerGroup([]string{address}, name, c)
	if err != nil {
		return nil, err
	}
	defer members.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	g := &group{seen: map[string]int{}, want: count, done: cancel}
	for ctx.Err() == nil {
		if err := members.Consume(ctx, []string{topic}, g); err != nil && !errors.Is(err, context.Canceled) {
			return g, err
		}
	}
	if g.total < count {
		return g, fmt.Errorf("%d of %d", g.total, count)
	}
	return g, nil
}

func saramaRound(address string, version sarama.KafkaVersion, label string) {
	topic, grp := "sarama-"+label, "group-"+label
	c := config(version)
	admin, err := sarama.NewClusterAdmin([]string{address}, c)
	if !check(label+" admin", err) {
		return
	}
	retention := "86400000"
	check(label+" create", admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &retention}}, false))
	err = admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}, false)
	if !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		check(label+" create again", fmt.Errorf("%v", err))
	} else {
		check(label+" create again", nil)
	}
	brokers, controller, err := admin.DescribeCluster()
	if check(label+" describe cluster", err) {
		want(label+" one broker", len(brokers), 1)
		want(label+" controller", controller, brokers[0].ID())
	}
	topics, err := admin.ListTopics()
	if check(label+" list topics", err) {
		want(label+" partitions", topics[topic].NumPartitions, 3)
		if v := topics[topic].ConfigEntries["retention.ms"]; v != nil {
			want(label+" retention", *v, retention)
		} else {
			check(label+" retention", errors.New("not listed among the overridden"))
		}
	}
	entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms", "cleanup.policy"}})
	if check(label+" describe config", err) {
		want(label+" config entries", len(entries), 2)
	}
	_, err = admin.DescribeConfig(sarama.ConfigResource{Type: sarama.BrokerResource, Name: "1"})
	check(label+" describe broker config", err)
	value := "1000"
	if version.IsAtLeast(sarama.V2_4_0_0) { // sarama offers it from there on
		check(label+" incremental", admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{"segment.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}, false))
	}
	check(label+" alter", admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &retention}, false))
	check(label+" partitions 4", admin.CreatePartitions(topic, 4, nil, false))

	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		pc := config(version)
		pc.Producer.Compression = codec
		pc.Producer.Flush.Frequency = 5 * time.Millisecond
		pc.Producer.Idempotent = true
		pc.Net.MaxOpenRequests = 1
		producer, err := sarama.NewSyncProducer([]string{address}, pc)
		if !check(label+" producer "+codec.String(), err) {
			continue
		}
		var batch []*sarama.ProducerMessage
		for i := 0; i < 100; i++ {
			batch = append(batch, &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(fmt.Sprint(i)), Value: sarama.StringEncoder(fmt.Sprint(codec, i)),
				Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("v")}}, Timestamp: time.Now()})
		}
		check(label+" send "+codec.String(), producer.SendMessages(batch))
		producer.Close()
	}
	sent := 500
	g, err := consume(address, grp, topic, config(version), sent, nil)
	if check(label+" group", err) {
		want(label+" each once", len(g.seen), sent)
	}
	for _, strategy := range []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky(), sarama.NewBalanceStrategyRoundRobin()} {
		_, err = consume(address, grp+strategy.Name(), topic, config(version), sent, strategy)
		check(label+" group "+strategy.Name(), err)
	}
	offsets, err := admin.ListConsumerGroupOffsets(grp, nil)
	if check(label+" group offsets", err) {
		sum := int64(0)
		for _, block := range offsets.Blocks[topic] {
			sum += block.Offset
			want(label+" offset error", block.Err, sarama.ErrNoError)
		}
		want(label+" offsets sum", sum, sent)
	}
	groups, err := admin.ListConsumerGroups()
	if check(label+" list groups", err) {
		want(label+" group's type", groups[grp], "consumer")
	}
	described, err := admin.DescribeConsumerGroups([]string{grp, "nobody"})
	if check(label+" describe groups", err) {
		want(label+" state", described[0].State, "Empty")
		want(label+" state of none", described[1].State, "Dead")
	}
	if version.IsAtLeast(sarama.V2_4_0_0) {
		check(label+" delete group offset", admin.DeleteConsumerGroupOffset(grp, topic, 0))
	}
	check(label+" delete group", admin.DeleteConsumerGroup(grp))
	client, err := sarama.NewClient([]string{address}, c)
	if check(label+" client", err) {
		newest, err := client.GetOffset(topic, 0, sarama.OffsetNewest)
		check(label+" newest", err)
		oldest, err := client.GetOffset(topic, 0, sarama.OffsetOldest)
		check(label+" oldest", err)
		at, err := client.GetOffset(topic, 0, time.Now().Add(-time.Hour).UnixMilli())
		check(label+" by time", err)
		want(label+" by time is oldest", at, oldest)
		check(label+" delete records", admin.DeleteRecords(topic, map[int32]int64{0: newest}))
		oldest, _ = client.GetOffset(topic, 0, sarama.OffsetOldest)
		want(label+" start moved", oldest, newest)
		client.Close()
	}
	dirs, err := admin.DescribeLogDirs([]int32{1})
	if check(label+" log dirs", err) {
		want(label+" log dirs of one", len(dirs), 1)
	}
	transactions(address, topic, label, version)
	check(label+" delete topic", admin.DeleteTopic(topic))
	admin.Close()
}

func transactions(address, topic, label string, version sarama.KafkaVersion) {
	pc := config(version)
	pc.Producer.Idempotent = true
	pc.Net.MaxOpenRequests = 1
	pc.Producer.Transaction.ID = "tx-" + label
	pc.Producer.Transaction.Timeout = 10 * time.Second
	producer, err := sarama.NewAsyncProducer([]string{address}, pc)
	if !check(label+" transactional producer", err) {
		return
	}
	go func() {
		for range producer.Successes() {
		}
	}()
	go func() {
		for err := range producer.Errors() {
			check(label+" transactional send", err)
		}
	}()
	for round, commit := range []bool{true, false, true} {
		check(fmt.Sprint(label, " begin ", round), producer.BeginTxn())
		for i := 0; i < 10; i++ {
			producer.Input() <- &sarama.ProducerMessage{Topic: topic, Partition: 1, Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder(fmt.Sprint("tx", round, commit))}
		}
		if commit {
			check(fmt.Sprint(label, " offsets ", round), producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 1, Offset: int64(round)}}}, "txgroup-"+label))
			check(fmt.Sprint(label, " commit ", round), producer.CommitTxn())
		} else {
			check(fmt.Sprint(label, " abort ", round), producer.AbortTxn())
		}
	}
	check(label+" close", producer.Close())
	cc := config(version)
	cc.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumer([]string{address}, cc)
	if !check(label+" consumer", err) {
		return
	}
	defer consumer.Close()
	count, aborted := 0, 0
	parts, _ := consumer.Partitions(topic)
	for _, p := range parts {
		pc, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		if !check(fmt.Sprint(label, " partition ", p), err) {
			continue
		}
		for wait := true; wait; {
			select {
			case m := <-pc.Messages():
				if string(m.Key) == "k" {
					count++
					if string(m.Value) == "tx1false" {
						aborted++
					}
				}
			case <-time.After(700 * time.Millisecond):
				wait = false
			}
		}
		pc.Close()
	}
	want(label+" committed", count, 20)
	want(label+" aborted", aborted, 0)
}

func segmentio(address string) {
	topic := "kafka-go"
	connection, err := kafka.Dial("tcp", address)
	if !check("kafka-go dial", err) {
		return
	}
	check("kafka-go create", connection.CreateTopics(kafka.TopicConfig{Topic: topic, NumPartitions: 2, ReplicationFactor: 1}))
	parts, err := connection.ReadPartitions(topic)
	if check("kafka-go partitions", err) {
		want("kafka-go two", len(parts), 2)
	}
	_, err = connection.Controller()
	check("kafka-go controller", err)
	_, err = connection.ApiVersions()
	check("kafka-go versions", err)
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	for _, codec := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		writer := &kafka.Writer{Addr: kafka.TCP(address), Topic: topic, Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll, Compression: codec, BatchTimeout: 5 * time.Millisecond}
		var messages []kafka.Message
		for i := 0; i < 100; i++ {
			messages = append(messages, kafka.Message{Key: []byte(fmt.Sprint(i)), Value: []byte(fmt.Sprint(codec, i)), Headers: []kafka.Header{{Key: "h", Value: []byte("v")}}})
		}
		check(fmt.Sprint("kafka-go write ", codec), writer.WriteMessages(ctx, messages...))
		writer.Close()
	}
	for round := 0; round < 2; round++ {
		reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{address}, Topic: topic, GroupID: fmt.Sprint("kafka-go-", round), MaxWait: 100 * time.Millisecond, StartOffset: kafka.FirstOffset})
		seen := map[string]bool{}
		for len(seen) < 500 {
			m, err := reader.FetchMessage(ctx)
			if err != nil {
				check("kafka-go fetch", err)
				break
			}
			seen[string(m.Value)] = true
			if err := reader.CommitMessages(ctx, m); err != nil {
				check("kafka-go commit", err)
				break
			}
			if round == 1 && len(seen) == 250 {
				break
			}
		}
		want(fmt.Sprint("kafka-go read ", round), len(seen), map[int]int{0: 500, 1: 250}[round])
		check("kafka-go close reader", reader.Close())
	}
	client := &kafka.Client{Addr: kafka.TCP(address), Timeout: 10 * time.Second}
	fetched, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: "kafka-go-0", Topics: map[string][]int{topic: {0, 1}}})
	if check("kafka-go offset fetch", err) {
		sum := int64(0)
		for _, p := range fetched.Topics[topic] {
			sum += p.CommittedOffset
		}
		want("kafka-go offsets", sum, 500)
	}
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if check("kafka-go metadata", err) {
		want("kafka-go brokers", len(metadata.Brokers), 1)
	}
	_, err = client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic}}})
	check("kafka-go describe configs", err)
	groups, err := client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if check("kafka-go list groups", err) {
		want("kafka-go groups", len(groups.Groups) >= 2, true)
	}
	described, err := client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{"kafka-go-0"}})
	if check("kafka-go describe groups", err) {
		want("kafka-go group state", described.Groups[0].GroupState, "Empty")
	}
	offsets, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0), kafka.FirstOffsetOf(1), kafka.LastOffsetOf(1)}}})
	if check("kafka-go list offsets", err) {
		sum := int64(0)
		for _, p := range offsets.Topics[topic] {
			sum += p.LastOffset - p.FirstOffset
		}
		want("kafka-go list offsets sum", sum, 500)
	}
	id, err := client.InitProducerID(ctx, &kafka.InitProducerIDRequest{TransactionalID: "kafka-go-tx", TransactionTimeoutMs: 10000})
	if check("kafka-go init producer id", err) && check("kafka-go init producer id's error", id.Error) {
		added, err := client.AddPartitionsToTxn(ctx, &kafka.AddPartitionsToTxnRequest{TransactionalID: "kafka-go-tx", ProducerID: id.Producer.ProducerID, ProducerEpoch: id.Producer.ProducerEpoch, Topics: map[string][]kafka.AddPartitionToTxn{topic: {{Partition: 0}}}})
		if check("kafka-go add partitions", err) {
			for _, p := range added.Topics[topic] {
				check("kafka-go add partition", p.Error)
			}
		}
		end, err := client.EndTxn(ctx, &kafka.EndTxnRequest{TransactionalID: "kafka-go-tx", ProducerID: id.Producer.ProducerID, ProducerEpoch: id.Producer.ProducerEpoch, Committed: false})
		if check("kafka-go end", err) {
			check("kafka-go end's error", end.Error)
		}
	}
	deleted, err := client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{"kafka-go-0"}})
	if check("kafka-go delete groups", err) {
		check("kafka-go deleted", deleted.Errors["kafka-go-0"])
	}
	check("kafka-go delete topic", connection.DeleteTopics(topic))
	connection.Close()
}

func main() {
	if len(os.Args) > 2 {
		sarama.Logger = logger{}
	}
	saramaRound(os.Args[1], sarama.V2_1_0_0, "2.1")
	saramaRound(os.Args[1], sarama.V2_8_0_0, "2.8")
	saramaRound(os.Args[1], sarama.MaxVersion, "newest")
	segmentio(os.Args[1])
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed != 0 {
		os.Exit(1)
	}
}

type logger struct{}

func (logger) Print(v ...any)                 { fmt.Println(v...) }
func (logger) Printf(format string, v ...any) { fmt.Printf(format, v...) }
func (logger) Println(v ...any)               { fmt.Println(v...) }
