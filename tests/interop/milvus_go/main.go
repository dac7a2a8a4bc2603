// The Go SDK's first steps, unmodified: collection, insert, search, query, delete, iterator. usage: main ADDRESS
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/milvus-io/milvus/client/v2/column"
	"github.com/milvus-io/milvus/client/v2/entity"
	"github.com/milvus-io/milvus/client/v2/index"
	"github.com/milvus-io/milvus/client/v2/milvusclient"
)

const name, dimension, rows = "quick", 8, 100

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(good bool, words string, values ...any) {
	if !good {
		must(fmt.Errorf("%s: %v", words, values))
	}
}

func main() {
	ctx := context.Background()
	client, err := milvusclient.New(ctx, &milvusclient.ClientConfig{Address: os.Args[1]})
	must(err)
	defer client.Close(ctx)
	schema := entity.NewSchema().WithDynamicFieldEnabled(true).
		WithField(entity.NewField().WithName("id").WithDataType(entity.FieldTypeInt64).WithIsPrimaryKey(true)).
		WithField(entity.NewField().WithName("vector").WithDataType(entity.FieldTypeFloatVector).WithDim(dimension)).
		WithField(entity.NewField().WithName("color").WithDataType(entity.FieldTypeVarChar).WithMaxLength(64))
	must(client.CreateCollection(ctx, milvusclient.NewCreateCollectionOption(name, schema).
		WithIndexOptions(milvusclient.NewCreateIndexOption(name, "vector", index.NewHNSWIndex(entity.L2, 16, 100)))))
	task, err := client.LoadCollection(ctx, milvusclient.NewLoadCollectionOption(name))
	must(err)
	must(task.Await(ctx))
	ids, colors, vectors := make([]int64, rows), make([]string, rows), make([][]float32, rows)
	for i := range ids {
		ids[i], colors[i], vectors[i] = int64(i), []string{"red", "green", "blue"}[i%3], make([]float32, dimension)
		vectors[i][0] = float32(i)
	}
	inserted, err := client.Insert(ctx, milvusclient.NewColumnBasedInsertOption(name).WithInt64Column("id", ids).
		WithFloatVectorColumn("vector", dimension, vectors).WithVarcharColumn("color", colors))
	must(err)
	check(inserted.InsertCount == rows, "inserted", inserted.InsertCount)
	found, err := client.Search(ctx, milvusclient.NewSearchOption(name, 3, []entity.Vector{entity.FloatVector(vectors[50])}).
		WithANNSField("vector").WithFilter("color == 'red'").WithOutputFields("color"))
	must(err)
	check(len(found) == 1 && found[0].ResultCount == 3, "found", found)
	near := found[0].IDs.(*column.ColumnInt64).Data()
	check(near[0] == 51 && near[1] == 48 && found[0].Scores[0] == 1, "nearest", near, found[0].Scores)
	color, err := found[0].GetColumn("color").GetAsString(0)
	must(err)
	check(color == "red", "color", color)
	got, err := client.Query(ctx, milvusclient.NewQueryOption(name).WithFilter("id in [7, 8]").WithOutputFields("id", "color"))
	must(err)
	check(got.ResultCount == 2 && strings.Join(got.GetColumn("color").(*column.ColumnVarChar).Data(), " ") == "green blue", "query", got)
	removed, err := client.Delete(ctx, milvusclient.NewDeleteOption(name).WithInt64IDs("id", []int64{51}))
	must(err)
	check(removed.DeleteCount == 1, "deleted", removed.DeleteCount)
	count, err := client.Query(ctx, milvusclient.NewQueryOption(name).WithFilter("").WithOutputFields("count(*)"))
	must(err)
	rest, err := count.GetColumn("count(*)").GetAsInt64(0)
	must(err)
	check(rest == rows-1, "count", rest)
	seen := 0
	pages, err := client.QueryIterator(ctx, milvusclient.NewQueryIteratorOption(name).WithBatchSize(10).WithOutputFields("id"))
	must(err)
	for {
		page, err := pages.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		must(err)
		seen += page.ResultCount
	}
	check(seen == rows-1, "iterator", seen)
	must(client.DropCollection(ctx, milvusclient.NewDropCollectionOption(name)))
	_, err = client.DescribeCollection(ctx, milvusclient.NewDescribeCollectionOption(name))
	check(err != nil && strings.Contains(err.Error(), "can't find collection"), "a dropped collection", err)
	fmt.Println("done")
}
