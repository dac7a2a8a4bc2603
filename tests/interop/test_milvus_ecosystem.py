"""Others' software on Milvus, unmodified: LangChain's and LlamaIndex's vector stores (vectors of their own, no model is fetched), VectorDBBench, the
Go SDK, public examples. Minutes of installing and running: .ci/run's slow tier."""
import os
import subprocess

import pytest

from conftest import python_with
from go_support import go_program

HERE = os.path.dirname(os.path.abspath(__file__))

LANGCHAIN = '''
import sys
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_milvus import Milvus

class Letters(Embeddings):
    def embed_query(self, text): return [float(text.lower().count(c)) + 0.01 for c in "abcdefghijklmnopqrstuvwxyz"]
    def embed_documents(self, texts): return [self.embed_query(t) for t in texts]

store = Milvus(Letters(), connection_args={"uri": sys.argv[1]}, collection_name="lc", auto_id=False, drop_old=True, enable_dynamic_field=True)
ids = store.add_documents([Document("aaa bbb", metadata={"k": 1}), Document("zzz yyy", metadata={"k": 2}), Document("mmm nnn", metadata={"k": 3})], ids=["a", "z", "m"])
assert ids == ["a", "z", "m"], ids
assert store.similarity_search("zzzz", k=1)[0].page_content == "zzz yyy"
assert [d.metadata["k"] for d in store.similarity_search("zzzz", k=3, expr="k < 3")] == [2, 1]
assert store.similarity_search_with_score("aaa bbb", k=1)[0][1] < 1e-3
assert len(store.max_marginal_relevance_search("aaa", k=2)) == 2
assert store.get_pks("k == 3") == ["m"]
store.upsert(ids=["m"], documents=[Document("qqq", metadata={"k": 4})])
assert store.similarity_search("qqq", k=1)[0].metadata["k"] == 4
store.delete(ids=["a"])
assert {d.metadata["k"] for d in store.similarity_search("a", k=9)} == {2, 4}
print("done")
'''

LLAMA = '''
import sys
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters, VectorStoreQuery
from llama_index.vector_stores.milvus import MilvusVectorStore

store = MilvusVectorStore(uri=sys.argv[1], collection_name="li", dim=3, overwrite=True, similarity_metric="L2")
nodes = [TextNode(id_=f"n{i}", text=f"text {i}", embedding=[float(i), 0.0, 1.0], metadata={"k": i}) for i in range(5)]
assert store.add(nodes) == [n.node_id for n in nodes]
found = store.query(VectorStoreQuery(query_embedding=[3.0, 0.0, 1.0], similarity_top_k=2))
assert found.ids[0] == "n3" and found.nodes[0].get_content() == "text 3", found.ids
few = store.query(VectorStoreQuery(query_embedding=[3.0, 0.0, 1.0], similarity_top_k=5, filters=MetadataFilters(filters=[MetadataFilter(key="k", value=1)])))
assert few.ids == ["n1"], few.ids
assert {n.node_id for n in store.get_nodes(node_ids=["n0", "n4"])} == {"n0", "n4"}
store.delete_nodes(node_ids=["n3"])
assert store.query(VectorStoreQuery(query_embedding=[3.0, 0.0, 1.0], similarity_top_k=1)).ids != ["n3"]
print("done")
'''


def run(python, script, uri):
    done = subprocess.run([python, "-c", script, uri], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.strip().endswith("done"), done.stdout[-2000:] + done.stderr[-4000:]


def test_langchain(server):
    run(python_with("langchain", "langchain-milvus==0.4.0"), LANGCHAIN, server.uri)


def test_llama_index(server):
    run(python_with("llama-index", "llama-index-vector-stores-milvus"), LLAMA, server.uri)


def test_vectordb_bench(server, tmp_path):
    """One performance case and one streaming case of its own, to the end, on vectors made here."""
    python = python_with("vectordb-bench", "vectordb-bench==2.0.0")
    done = subprocess.run([python, os.path.join(HERE, "milvus_vdbbench.py"), server.uri, str(tmp_path)], capture_output=True, text=True, timeout=600,
                          cwd=tmp_path, env={**os.environ, "RESULTS_LOCAL_DIR": str(tmp_path / "results"), "LOG_FILE": str(tmp_path / "log.txt")})
    assert done.returncode == 0 and done.stdout.strip().endswith("done"), done.stdout[-3000:] + done.stderr[-3000:]


def test_go_sdk(server):
    quick = go_program("milvus_go")
    done = subprocess.run([quick, server.uri.removeprefix("http://")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "done\n", done.stdout + done.stderr


EXAMPLES = ("search_group_by.py", "orm_deprecated/datatypes/dynamic_field.py", "orm_deprecated/datatypes/fuzzy_match.py", "orm_deprecated/hello_text_match.py")


def test_public_examples(server, tmp_path):
    """Examples of pymilvus's repository, against milvus-lite and here: only the URI is another, the output is equal."""
    folder = os.environ.get("FRESHET_MILVUS_EXAMPLES")
    if not folder:
        pytest.skip("FRESHET_MILVUS_EXAMPLES does not name the examples of a checkout of pymilvus")
    python = python_with("milvus-lite", "pymilvus==3.0.2", "milvus-lite==3.2.2")
    starter = "import sys\nfrom milvus_lite.adapter.grpc.server import start_server_in_thread\nkept = start_server_in_thread(sys.argv[1])\nprint(kept[2], flush=True)\nsys.stdin.read()"
    lite = subprocess.Popen([python, "-c", starter, str(tmp_path / "lite")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        uri = f"http://127.0.0.1:{int(lite.stdout.readline())}"
        done = subprocess.run([python, os.path.join(HERE, "milvus_examples.py"), uri, server.uri, *(os.path.join(folder, name) for name in EXAMPLES)],
                              capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and done.stdout.count(": equal") == len(EXAMPLES), done.stdout[-3000:] + done.stderr[-2000:]
    finally:
        lite.kill()
        lite.wait()
