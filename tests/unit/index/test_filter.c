/* test_filter.c: the filter language. A table says for each expression and one document: T, F or U (unknown); U is seen by
 * asking the expression and its negation: neither matches. */
#include "index/filter.h"
#include "tests/unit/doc_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char document[] =
    "{\"price\": 7, \"color\": \"red\", \"stock\": 0, \"rate\": 2.5, \"sale\": true, \"sold\": false, \"nothing\": null,"
    " \"neg\": -7, \"big\": 9007199254740993, \"max\": 9223372036854775807, \"min\": -9223372036854775808, \"whole\": 4.0,"
    " \"tags\": [\"a\", \"b\", \"c\"], \"nums\": [1, 2.5, 3], \"mixed\": [1, \"x\", true, null, [7, 8], {\"k\": 1}], \"empty\": [],"
    " \"flags\": [true, false], \"matrix\": [[1, 2], [3, 4]],"
    " \"a\": {\"b\": {\"c\": 5, \"list\": [10, {\"d\": \"deep\"}]}, \"and\": 1}, \"and\": 2, \"a.b\": 3, \"key with space\": 4, \"\": 5,"
    " \"id\": \"metadata id\", \"metadata\": {\"x\": 9}, \"x\": 8, \"is\": 6, \"json_contains\": 11, \"In\": 12, \"_u1\": 13,"
    " \"name\": \"J\xc3\xb6rg 100%_\\\\\", \"text\": \"hello world\", \"line\": \"a\\nb\", \"zero\": \"x\\0y\", \"blank\": \"\"}";

static fr_doc_builder builder;
static const fr_filter_schema any_schema = {.key_name = "id", .id_type = FR_ID_ANY};

static fr_filter *compile_with(const char *text, const fr_filter_schema *schema)
{
    fr_err err = {.code = FR_OK};
    fr_filter *filter = NULL;
    fr_code code = fr_filter_compile(fr_span_text(text), schema, (fr_span){NULL, 0}, &filter, &err);
    if (code != FR_OK) print_error("%s\n  %s: %s\n", text, fr_strcode(code), err.text);
    assert_int_equal(code, FR_OK);
    return filter;
}

static bool matches(const char *text, const fr_filter_schema *schema, const fr_filter_row *row)
{
    fr_filter *filter = compile_with(text, schema);
    bool result = fr_filter_match(filter, row);
    fr_filter_free(filter);
    return result;
}

static char judge(const char *text, const fr_filter_schema *schema, const fr_filter_row *row)
{
    static char negated[70000];
    snprintf(negated, sizeof negated, "not (%s)", text);
    bool yes = matches(text, schema, row), no = matches(negated, schema, row);
    return yes && no ? '?' : yes ? 'T' : no ? 'F' : 'U';
}

typedef struct row {
    const char *text;
    char want;
} row;

static void run(const row *rows, size_t count, const fr_filter_schema *schema, const fr_filter_row *filter_row)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        char got = judge(rows[i].text, schema, filter_row);
        if (got == rows[i].want) continue;
        print_error("%s: want %c, got %c\n", rows[i].text, rows[i].want, got);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void run_on_document(const row *rows, size_t count)
{
    fr_filter_row filter_row = {.key = fr_span_text("42"), .key_is_int = true,
                                .metadata = fr_doc_root(doc_from_text(&builder, document))};
    run(rows, count, &any_schema, &filter_row);
}

static void comparisons(void **state)
{
    (void)state;
    static const row rows[] = {
        {"price == 7", 'T'}, {"price == 8", 'F'}, {"price != 7", 'F'}, {"price != 8", 'T'},
        {"price < 8", 'T'}, {"price < 7", 'F'}, {"price <= 7", 'T'}, {"price <= 6", 'F'},
        {"price > 6", 'T'}, {"price > 7", 'F'}, {"price >= 7", 'T'}, {"price >= 8", 'F'},
        {"7 == price", 'T'}, {"8 > price", 'T'}, {"7 > price", 'F'}, {"6 < price", 'T'}, {"7 >= price", 'T'}, {"8 <= price", 'F'},
        {"price==7", 'T'}, {" \t\nprice\r\n==\t7 ", 'T'},
        /* integers and floats by value, exactly */
        {"price == 7.0", 'T'}, {"price < 7.5", 'T'}, {"price > 6.999", 'T'}, {"whole == 4", 'T'}, {"whole >= 4", 'T'},
        {"rate == 2.5", 'T'}, {"rate > 2", 'T'}, {"rate < 3", 'T'}, {"rate == 2", 'F'}, {"price == 0x7", 'T'},
        {"big == 9007199254740993", 'T'}, {"big == 9007199254740992", 'F'}, {"big == 9007199254740992.0", 'F'},
        {"big > 9007199254740992.0", 'T'}, {"big < 9007199254740994.0", 'T'}, {"max == 9223372036854775807", 'T'},
        {"max < 9223372036854775808.0", 'T'}, {"max == 9223372036854775808.0", 'F'}, {"min == -9223372036854775808", 'T'},
        {"min == -9223372036854775808.0", 'T'}, {"max > 1e18", 'T'}, {"max < 1e19", 'T'}, {"min > -1e19", 'T'},
        {"neg == -7", 'T'}, {"neg < -6", 'T'}, {"neg < - 6", 'T'}, {"price > -price", 'T'},
        /* strings by bytes */
        {"color == \"red\"", 'T'}, {"color == 'red'", 'T'}, {"color == 'Red'", 'F'}, {"color != 'blue'", 'T'},
        {"color > 'blue'", 'T'}, {"color < 'redder'", 'T'}, {"color >= 'red'", 'T'}, {"color < 're'", 'F'},
        {"'blue' < color", 'T'}, {"color > 'Zebra'", 'T'}, {"blank == ''", 'T'}, {"blank < 'a'", 'T'}, {"name > 'Jz'", 'T'},
        /* booleans are not numbers and have no order */
        {"sale == true", 'T'}, {"sale == True", 'T'}, {"sale == TRUE", 'T'}, {"sale != false", 'T'}, {"sold == false", 'T'},
        {"sold == False", 'T'}, {"sold == FALSE", 'T'}, {"sale == 1", 'U'}, {"sold != 0", 'U'}, {"price == true", 'U'},
        {"sale < price", 'U'}, {"sale < sold", 'U'}, {"true == sale", 'T'},
        /* mismatches, missing values and null are unknown */
        {"price == '7'", 'U'}, {"price != '7'", 'U'}, {"color < 7", 'U'}, {"missing == 1", 'U'}, {"missing != 1", 'U'},
        {"missing < 1", 'U'}, {"nothing == 1", 'U'}, {"nothing != 1", 'U'}, {"nothing == nothing", 'U'},
        {"missing == missing", 'U'}, {"tags == 'a'", 'U'}, {"a == 1", 'U'}, {"tags != 1", 'U'},
        /* fields with fields */
        {"price > stock", 'T'}, {"stock < price", 'T'}, {"price == price", 'T'}, {"color == text", 'F'}, {"color < price", 'U'},
        {"sale == sold", 'F'}, {"sale != sold", 'T'}, {"tags == tags", 'U'}, {"a == a", 'U'}, {"big > rate", 'T'},
        /* constants */
        {"1 == 1", 'T'}, {"1 < 1", 'F'}, {"1 == 1.0", 'T'}, {"'a' < 'b'", 'T'}, {"true == true", 'T'}, {"1 == 'a'", 'U'},
        /* arrays with lists */
        {"tags == ['a', 'b', 'c']", 'T'}, {"tags == ['a', 'b']", 'F'}, {"tags != ['a']", 'T'}, {"['a','b','c'] == tags", 'T'},
        {"nums == [1.0, 2.5, 3]", 'T'}, {"empty == []", 'T'}, {"empty != []", 'F'}, {"matrix == [[1,2],[3,4]]", 'T'},
        {"matrix == [[1,2],[3,5]]", 'F'}, {"price == [7]", 'U'}, {"a == []", 'U'}, {"missing == []", 'U'}, {"[1] == [1.0]", 'T'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void chains(void **state)
{
    (void)state;
    static const row rows[] = {
        {"3 <= price < 8", 'T'}, {"3 < price <= 7", 'T'}, {"3 <= price < 7", 'F'}, {"8 <= price < 9", 'F'},
        {"8 > price >= 3", 'T'}, {"8 >= price > 7", 'F'}, {"stock < price < big", 'T'}, {"3 < missing < 5", 'U'},
        {"3 <= price < 8 and color == 'red'", 'T'}, {"not (3 <= price < 8)", 'F'}, {"3 < price + 1 < 9", 'T'},
        {"'a' < color < 'z'", 'T'}, {"3 < color < 5", 'U'}, {"9 < price < 'x'", 'F'}, {"41 < id < 43", 'T'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void logic(void **state)
{
    (void)state;
    static const char *const values[] = {"price == 7", "missing == 7", "price == 8"}; /* T U F */
    static const char letters[] = "TUF";
    static const char and_want[3][4] = {"TUF", "UUF", "FFF"}, or_want[3][4] = {"TTT", "TUU", "TUF"};
    static const char *const ands[] = {"and", "AND", "&&"}, *const ors[] = {"or", "OR", "||"}, *const nots[] = {"not ", "NOT ", "!"};
    fr_filter_row filter_row = {.metadata = fr_doc_root(doc_from_text(&builder, document))};
    char text[200];
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            for (int spelling = 0; spelling < 3; spelling++) {
                snprintf(text, sizeof text, "%s %s %s", values[i], ands[spelling], values[j]);
                assert_int_equal(judge(text, &any_schema, &filter_row), and_want[i][j]);
                snprintf(text, sizeof text, "%s %s %s", values[i], ors[spelling], values[j]);
                assert_int_equal(judge(text, &any_schema, &filter_row), or_want[i][j]);
                snprintf(text, sizeof text, "%s(%s) %s %s", nots[spelling], values[i], ands[j], values[0]);
                assert_int_equal(judge(text, &any_schema, &filter_row), letters[2 - i]);
                /* De Morgan */
                char left, right;
                snprintf(text, sizeof text, "%s(%s %s %s)", nots[j], values[i], ands[spelling], values[j]);
                left = judge(text, &any_schema, &filter_row);
                snprintf(text, sizeof text, "%s(%s) %s %s(%s)", nots[spelling], values[i], ors[spelling], nots[j], values[j]);
                right = judge(text, &any_schema, &filter_row);
                assert_int_equal(left, right);
            }
        }
    }
    static const row rows[] = {
        {"sale", 'T'}, {"sold", 'F'}, {"not sold", 'T'}, {"!sale", 'F'}, {"price", 'U'}, {"missing", 'U'}, {"sale and price > 1", 'T'},
        {"sold or sale", 'T'}, {"not not sale", 'T'}, {"!!sold", 'F'}, {"true", 'T'}, {"false", 'F'}, {"true and sale", 'T'},
        {"false or sold", 'F'}, {"(((price == 7)))", 'T'}, {"price == 7 and color == 'red' and sale and not sold", 'T'},
        {"price == 8 or color == 'blue' or sold or missing", 'U'}, {"price == 8 or color == 'blue' or sold or sale", 'T'},
        {"(price == 7 and sale) and (color == 'red' and sold)", 'F'}, {"(price == 8 or sold) or (sold or sale)", 'T'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void precedence(void **state)
{
    (void)state;
    /* price 7, stock 0, rate 2.5, neg -7 */
    static const row rows[] = {
        {"sale or sold and sold", 'T'}, {"(sale or sold) and sold", 'F'}, {"sold and sold or sale", 'T'},
        {"not sold and sold", 'F'}, {"not (price < 5) && sale == false || color != 'red' && stock < 2", 'F'},
        {"not (price < 5) && sale == true || sold", 'T'},
        {"price + 1 * 2 == 9", 'T'}, {"(price + 1) * 2 == 16", 'T'}, {"price - 1 - 1 == 5", 'T'}, {"64 / 4 / 2 == 8", 'T'},
        {"2 * 3 ** 2 == 18", 'T'}, {"2 ** 3 ** 2 == 64", 'T'} /* to the left, as Milvus' grammar */, {"-2 ** 2 == -4", 'T'},
        {"(-2) ** 2 == 4", 'T'}, {"2 ** -1 == 0.5", 'T'}, {"-price + 1 == -6", 'T'}, {"- - price == 7", 'T'}, {"+price == 7", 'T'},
        {"1 + 2 << 3 == 24", 'T'}, {"1 << 2 + 1 == 8", 'T'}, {"32 >> 1 >> 1 == 8", 'T'}, {"~price + 8 == 0", 'T'},
        {"(price & 3) == 3", 'T'}, {"(price | 8) == 15", 'T'}, {"(price ^ 2) == 5", 'T'}, {"(1 | 2 ^ 3 & 6) == 1", 'T'},
        {"price % 4 == 3 and price * 2 > 10", 'T'}, {"price + 1 in [8]", 'T'}, {"1 << 3 in [8]", 'T'},
        {"not color like 'b%'", 'T'}, {"not exists missing", 'T'}, {"exists price and exists color", 'T'}, {"! color like 'r%'", 'F'},
        {"price > 5 == true or sale", 'E'}, {"not price == 7", 'E'}, {"not price in [7]", 'E'}, {"price & 1 == 1", 'E'},
        {"price == 7 == true", 'E'}, {"1 < price < 8 < 9", 'E'}, {"1 < price > 3", 'E'},
    };
    row fine[FR_COUNT_OF(rows)];
    size_t count = 0;
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        fr_filter *filter;
        fr_err err;
        if (rows[i].want != 'E') {
            fine[count++] = rows[i];
            continue;
        }
        assert_int_equal(fr_filter_compile(fr_span_text(rows[i].text), &any_schema, (fr_span){NULL, 0}, &filter, &err), FR_ERR_INVALID);
        assert_null(filter);
    }
    run_on_document(fine, count);
}

static void arithmetic(void **state)
{
    (void)state;
    static const row rows[] = {
        {"price + 3 == 10", 'T'}, {"3 + price == 10", 'T'}, {"price - 10 == -3", 'T'}, {"price * 2 == 14", 'T'},
        {"price / 2 == 3", 'T'}, {"neg / 2 == -3", 'T'}, {"price % 4 == 3", 'T'}, {"neg % 4 == -3", 'T'}, {"price ** 2 == 49", 'T'},
        {"price / 2.0 == 3.5", 'T'}, {"rate * 2 == 5", 'T'}, {"rate + price == 9.5", 'T'}, {"rate % 2 == 0.5", 'T'},
        {"rate ** 2 == 6.25", 'T'}, {"price ** 0 == 1", 'T'}, {"price ** 0.5 > 2.6", 'T'}, {"-rate == -2.5", 'T'},
        {"price / stock == 1", 'U'}, {"price % stock == 1", 'U'}, {"rate / stock == 1", 'U'}, {"price / 0.0 > 1", 'U'},
        {"max + 1 > 0", 'U'}, {"max * 2 > 0", 'U'}, {"min - 1 < 0", 'U'}, {"-min > 0", 'U'}, {"min / -1 > 0", 'U'},
        {"min % -1 == 0", 'T'}, {"max ** 2 > 0", 'U'}, {"2 ** 62 == 4611686018427387904", 'T'}, {"price ** 100 > 1", 'U'},
        {"10.0 ** price ** 100 > 1", 'U'}, {"max + 1.0 >= 9223372036854775808.0", 'T'}, {"stock ** -1 > 0", 'U'},
        {"color + 1 == 2", 'U'}, {"missing + 1 == 2", 'U'}, {"sale + 1 == 2", 'U'}, {"tags * 2 == 2", 'U'}, {"-color == 1", 'U'},
        {"price << 1 == 14", 'T'}, {"price >> 1 == 3", 'T'}, {"neg >> 1 == -4", 'T'}, {"neg << 1 == -14", 'T'},
        {"price << 64 == 0", 'U'}, {"price << -1 == 0", 'U'}, {"max << 1 != 0", 'U'}, {"1 << price == 128", 'T'}, {"~stock == -1", 'T'},
        {"rate << 1 == 5", 'U'}, {"~rate == 1", 'U'}, {"(rate & 1) == 1", 'U'}, {"price + stock * 2 - neg == 14", 'T'},
        {"array_length(tags) + 1 == 4", 'T'}, {"price == 5 + 2", 'T'}, {"price == 2 * 3.5", 'T'}, {"id + 1 == 43", 'T'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void literals(void **state)
{
    (void)state;
    static const row rows[] = {
        {"price == 0b111", 'T'}, {"price == 0B111", 'T'}, {"price == 07", 'T'}, {"price == 0x07", 'T'}, {"17 == 0x11", 'T'},
        {"8 == 010", 'T'}, {"0 == 0", 'T'}, {"255 == 0xfF", 'T'}, {"rate == 2.5e0", 'T'}, {"rate == 25e-1", 'T'}, {"rate == .25E+1", 'T'},
        {"whole == 4.", 'T'}, {"0.5 == .5", 'T'}, {"6.25 == 0x1.9p2", 'T'}, {"16.0 == 0x1p4", 'T'}, {"1e300 > max", 'T'},
        {"min == -0x8000000000000000", 'T'}, {"text == \"hello\\x20world\"", 'T'}, {"line == 'a\\nb'", 'T'}, {"line == 'a\\012b'", 'T'},
        {"zero == \"x\\0y\"", 'T'}, {"zero == 'x\\u0000y'", 'T'}, {"'\\u00e4' == '\xc3\xa4'", 'T'}, {"'\\U0001F600' == '\xf0\x9f\x98\x80'", 'T'},
        {"'\\ud83d\\ude00' == '\xf0\x9f\x98\x80'", 'T'}, {"'\\xc3\\xa4' == '\xc3\xa4'", 'T'}, {"\"it's\" == 'it\\'s'", 'T'},
        {"'say \"x\"' == \"say \\\"x\\\"\"", 'T'}, {"'\\\\' == \"\\\\\"", 'T'}, {"r'\\n' == '\\\\n'", 'T'}, {"R\"a\\\" == 'a\\\\'", 'T'},
        {"'\\/\\?\\a\\b\\f\\r\\t\\v' == '/?\\x07\\x08\\x0c\\x0d\\x09\\x0b'", 'T'}, {"name == 'J\xc3\xb6rg 100%_\\\\'", 'T'},
        {"'\\%' == '\\\\%'", 'T'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void paths(void **state)
{
    (void)state;
    static const row rows[] = {
        {"a[\"b\"][\"c\"] == 5", 'T'}, {"a['b']['c'] == 5", 'T'}, {"a.b.c == 5", 'T'}, {"a[\"b\"].c == 5", 'T'}, {"a.b[\"c\"] == 5", 'T'},
        {"a.b.list[0] == 10", 'T'}, {"a.b.list[1].d == 'deep'", 'T'}, {"a[\"b\"][\"list\"][1][\"d\"] == 'deep'", 'T'},
        {"a.b.list[2] == 10", 'U'}, {"a.b.list.d == 1", 'U'}, {"a[0] == 1", 'U'}, {"tags[0] == 'a'", 'T'}, {"tags[2] == 'c'", 'T'},
        {"tags[3] == 'a'", 'U'}, {"tags[4294967295] == 'a'", 'U'}, {"tags[0x1] == 'b'", 'T'}, {"matrix[1][0] == 3", 'T'}, {"price[0] == 7", 'U'},
        {"price.x == 7", 'U'}, {"$meta[\"price\"] == 7", 'T'}, {"$meta.price == 7", 'T'}, {"metadata[\"price\"] == 7", 'T'},
        {"metadata.price == 7", 'T'}, {"$meta[\"a\"][\"b\"].c == 5", 'T'}, {"$meta[\"metadata\"][\"x\"] == 9", 'T'},
        {"metadata.x == 8", 'T'}, {"$meta[\"and\"] == 2", 'T'}, {"$meta.and == 2", 'T'}, {"a.and == 1", 'T'}, {"a[\"and\"] == 1", 'T'},
        {"$meta[\"a.b\"] == 3", 'T'}, {"$meta[\"key with space\"] == 4", 'T'}, {"$meta[\"\"] == 5", 'T'}, {"$meta['\\u0070rice'] == 7", 'T'},
        {"$meta[\"id\"] == 'metadata id'", 'T'}, {"is == 6", 'T'}, {"json_contains == 11", 'T'}, {"In == 12", 'T'}, {"_u1 == 13", 'T'},
        {"a [ \"b\" ] [ 'c' ] == 5", 'T'}, {"metadata == 1", 'U'}, {"$meta == 1", 'U'}, {"a[\"missing\"][\"c\"] == 5", 'U'},
        {"Price == 7", 'U'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void in_lists(void **state)
{
    (void)state;
    static const row rows[] = {
        {"price in [7]", 'T'}, {"price in [1, 7, 9]", 'T'}, {"price in [1, 2]", 'F'}, {"price not in [1, 2]", 'T'}, {"price not in [7]", 'F'},
        {"price in [300/2, 14/2]", 'T'}, {"price in [(1+2)*2+1]", 'T'}, {"price in [2**3 - 1, 4]", 'T'}, {"price in [-3*-2+1,]", 'T'},
        {"price in [+7]", 'T'}, {"price in [15%8]", 'T'}, {"price in [1+1]", 'F'},
        {"price in [-9223372036854775808, 7]", 'T'}, {"price IN [7]", 'T'}, {"price NOT IN [1]", 'T'}, {"price in [7.0]", 'T'}, {"whole in [4]", 'T'}, {"rate in [2.5]", 'T'},
        {"rate in [2, 3]", 'F'}, {"color in ['red', \"blue\"]", 'T'}, {"color in ['green']", 'F'}, {"color not in ['green']", 'T'},
        {"color in ['red',]", 'T'}, {"color in []", 'F'}, {"color not in []", 'T'}, {"price in []", 'F'}, {"sale in [true]", 'T'},
        {"sale in [false]", 'F'}, {"sold in [false, true]", 'T'}, {"sale in [1]", 'U'}, {"price in ['7']", 'U'}, {"price not in ['7']", 'U'},
        {"price in ['x', 7]", 'T'}, {"price in ['x', 8]", 'F'}, {"price not in ['x', 8]", 'T'}, {"missing in [1]", 'U'},
        {"missing not in [1]", 'U'}, {"missing in []", 'U'}, {"nothing in [1]", 'U'}, {"tags in ['a']", 'U'}, {"tags in [['a','b','c']]", 'T'},
        {"tags in [['a']]", 'F'}, {"matrix in [[[1,2],[3,4]]]", 'T'}, {"neg in [-7, +8]", 'T'}, {"min in [-9223372036854775808]", 'T'},
        {"max in [9223372036854775807]", 'T'}, {"max in [9223372036854775808.0]", 'F'}, {"big in [9007199254740992.0]", 'F'},
        {"price % 4 in [3]", 'T'}, {"tags[1] in ['b']", 'T'}, {"price in [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]", 'T'},
        {"price in [18,17,16,15,14,13,12,11,10,9,8,6,5,4,3,2,1]", 'F'}, {"5 in [5]", 'T'}, {"a in [1]", 'U'}, {"price in [7, 7, 7]", 'T'},
        {"blank in ['']", 'T'}, {"rate in [2.5, 1e300, -1e300, 0.1]", 'T'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void like(void **state)
{
    (void)state;
    static const row rows[] = {
        {"color like 'red'", 'T'}, {"color like 'r%'", 'T'}, {"color like '%d'", 'T'}, {"color like '%e%'", 'T'}, {"color like '%'", 'T'},
        {"color like '%%'", 'T'}, {"color like ''", 'F'}, {"color like 'R%'", 'F'}, {"color like 'r_d'", 'T'}, {"color like '___'", 'T'},
        {"color like '__'", 'F'}, {"color like '____'", 'F'}, {"color like '_%'", 'T'}, {"color like '%_'", 'T'}, {"color like '%___'", 'T'},
        {"color like '%____'", 'F'}, {"color like '_e%'", 'T'}, {"color like 're'", 'F'}, {"color like 'redd'", 'F'}, {"color LIKE 'r%'", 'T'},
        {"text like 'hello%world'", 'T'}, {"text like 'h%o%w%d'", 'T'}, {"text like '%o w%'", 'T'}, {"text like '%ll%ll%'", 'F'},
        {"text like '%l%l%l%'", 'T'}, {"text like '%l%l%l%l%'", 'F'}, {"text like 'hello%hello'", 'F'}, {"text like 'hello world%d'", 'F'},
        {"text like '%w_r%'", 'T'}, {"text like '%w_l%'", 'F'}, {"text like 'h%_ld'", 'T'}, {"text like '%o%r_d'", 'T'}, {"text like '%o%o%o%'", 'F'},
        {"name like 'J_rg%'", 'T'}, {"name like 'J__rg%'", 'F'}, {"name like '%100\\\\%%'", 'T'}, {"name like '%100\\%%'", 'T'},
        {"name like '%\\\\_%'", 'T'}, {"text like '%\\_%'", 'F'}, {"name like '%\\\\\\\\'", 'T'}, {"name like r'%\\\\'", 'T'},
        {"name like '%\xc3\xb6%'", 'T'}, {"name like '_\xc3\xb6_g %'", 'T'}, {"name like '%___________'", 'T'}, {"name like '____________'", 'F'},
        {"name like '___________'", 'T'}, {"line like 'a_b'", 'T'}, {"zero like 'x_y'", 'T'}, {"blank like ''", 'T'}, {"blank like '%'", 'T'},
        {"blank like '_'", 'F'}, {"price like '7'", 'U'}, {"missing like '%'", 'U'}, {"nothing like '%'", 'U'}, {"tags like 'a'", 'U'},
        {"tags[0] like 'a'", 'T'}, {"a.b.list[1].d like 'd__p'", 'T'}, {"sale like 'true'", 'U'}, {"text like '%world%'", 'T'},
        {"text like '%hello'", 'F'}, {"text like 'world%'", 'F'}, {"text like '%d%'", 'T'}, {"text like '_ello%_orl_'", 'T'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void existence(void **state)
{
    (void)state;
    static const row rows[] = {
        {"exists price", 'T'}, {"EXISTS price", 'T'}, {"exists missing", 'F'}, {"exists nothing", 'F'}, {"exists a.b.c", 'T'},
        {"exists a[\"b\"][\"x\"]", 'F'}, {"exists tags[0]", 'T'}, {"exists tags[3]", 'F'}, {"exists empty", 'T'}, {"exists (price)", 'T'},
        {"exists $meta[\"price\"]", 'T'}, {"exists id", 'T'}, {"exists blank", 'T'}, {"exists sold", 'T'}, {"exists $meta", 'T'},
        {"price is null", 'F'}, {"price is not null", 'T'}, {"price IS NULL", 'F'}, {"price IS NOT NULL", 'T'}, {"missing is null", 'T'},
        {"missing is not null", 'F'}, {"nothing is null", 'T'}, {"nothing is not null", 'F'}, {"a.b.x is null", 'T'}, {"a[\"b\"] is not null", 'T'},
        {"price  is   not\nnull", 'T'}, {"is is not null", 'T'}, {"id is null", 'F'}, {"id is not null", 'T'}, {"missing is null and price == 7", 'T'},
        {"not missing is null", 'F'}, {"mixed[3] is null", 'T'}, {"mixed[0] is null", 'F'}, {"price.x is null", 'T'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void functions(void **state)
{
    (void)state;
    static const row rows[] = {
        {"json_contains(tags, 'a')", 'T'}, {"json_contains(tags, 'z')", 'F'}, {"JSON_CONTAINS(tags, 'b')", 'T'}, {"json_contains(nums, 1)", 'T'},
        {"json_contains(nums, 1.0)", 'T'}, {"json_contains(nums, 2.5)", 'T'}, {"json_contains(nums, 2)", 'F'}, {"json_contains(nums, '1')", 'F'},
        {"json_contains(mixed, true)", 'T'}, {"json_contains(mixed, false)", 'F'}, {"json_contains(mixed, 'x')", 'T'},
        {"json_contains(mixed, [7, 8])", 'T'}, {"json_contains(mixed, [8, 7])", 'F'}, {"json_contains(matrix, [1, 2])", 'T'},
        {"json_contains(empty, 1)", 'F'}, {"json_contains(missing, 1)", 'U'}, {"json_contains(price, 7)", 'U'}, {"json_contains(a, 1)", 'U'},
        {"json_contains(nothing, 1)", 'U'}, {"json_contains(a[\"b\"].list, 10)", 'T'}, {"json_contains(nums, 1 + 0)", 'T'}, {"json_contains(nums, -1)", 'F'},
        {"json_contains_any(tags, ['z', 'c'])", 'T'}, {"json_contains_any(tags, ['z'])", 'F'}, {"json_contains_any(tags, [])", 'F'},
        {"JSON_CONTAINS_ANY(nums, [9, 3.0])", 'T'}, {"json_contains_any(mixed, ['q', true])", 'T'}, {"json_contains_any(missing, [1])", 'U'},
        {"json_contains_all(tags, ['a', 'c'])", 'T'}, {"json_contains_all(tags, ['a', 'z'])", 'F'}, {"json_contains_all(tags, ['a', 'a'])", 'T'},
        {"json_contains_all(tags, [])", 'T'}, {"json_contains_all(nums, [1, 2.5, 3])", 'T'}, {"json_contains_all(nums, [1, 2.5, 3, 4])", 'F'},
        {"json_contains_all(mixed, [1, 'x', true, [7, 8]])", 'T'}, {"json_contains_all(flags, [true, false])", 'T'},
        {"json_contains_all(matrix, [[3,4],[1,2]])", 'T'}, {"json_contains_all(price, [])", 'U'}, {"JSON_CONTAINS_ALL(empty, [1])", 'F'},
        {"array_contains(nums, 3)", 'T'}, {"ARRAY_CONTAINS(nums, 4)", 'F'}, {"array_contains_any(nums, [4, 3])", 'T'},
        {"array_contains_all(nums, [3, 1])", 'T'}, {"ARRAY_CONTAINS_ALL(nums, [3, 5])", 'F'}, {"ARRAY_CONTAINS_ANY(nums, [5])", 'F'},
        {"array_length(tags) == 3", 'T'}, {"ARRAY_LENGTH(tags) > 3", 'F'}, {"array_length(empty) == 0", 'T'}, {"array_length(price) == 0", 'U'},
        {"array_length(missing) == 0", 'U'}, {"array_length(a) == 2", 'U'}, {"array_length(a.b.list) == 2", 'T'}, {"array_length(tags) in [3]", 'T'},
        {"2 < array_length(tags) < 4", 'T'}, {"not json_contains(tags, 'z') and json_contains(tags, 'a')", 'T'}, {"array_length (tags) == 3", 'T'},
        {"json_contains_all(tags, ['a',])", 'T'},
    };
    run_on_document(rows, FR_COUNT_OF(rows));
}

static void keys_by_type(void **state)
{
    (void)state;
    fr_filter_row integer = {.key = fr_span_text("42"), .key_is_int = true}, text = {.key = fr_span_text("abc")},
                  digits = {.key = fr_span_text("42")}, lowest = {.key = fr_span_text("-9223372036854775808"), .key_is_int = true};
    static const row on_integer[] = {
        {"id == 42", 'T'}, {"id == 41", 'F'}, {"id != 41", 'T'}, {"42 == id", 'T'}, {"id == 42.0", 'T'}, {"id == 42.5", 'F'}, {"id < 43", 'T'},
        {"id >= 42", 'T'}, {"id in [1, 42]", 'T'}, {"id not in [1, 42]", 'F'}, {"id not in [1]", 'T'}, {"id % 2 == 0", 'T'}, {"id in []", 'F'},
        {"id == true", 'U'}, {"id > 41.5", 'T'}, {"id like '4%'", 'U'}, {"price == 1", 'U'}, {"exists price", 'F'}, {"id > 'a'", 'U'},
    };
    run(on_integer, FR_COUNT_OF(on_integer), &any_schema, &integer);
    /* Undeclared ids: 42 and "42" are one entity, so equality looks at the text only. */
    static const row by_text[] = {{"id == '42'", 'T'}, {"id in ['42']", 'T'}, {"id == 42", 'T'}, {"id != '42'", 'F'}, {"id == 'x'", 'F'}};
    run(by_text, FR_COUNT_OF(by_text), &any_schema, &integer);
    run(by_text, FR_COUNT_OF(by_text), &any_schema, &digits);
    static const row on_text[] = {
        {"id == 'abc'", 'T'}, {"id == \"abd\"", 'F'}, {"id != 'abd'", 'T'}, {"id > 'abb'", 'T'}, {"id like 'a%'", 'T'}, {"id in ['abc', 'x']", 'T'},
        {"id == 5", 'F'}, {"id < 5", 'U'}, {"id not in ['x']", 'T'}, {"id == ''", 'F'},
    };
    run(on_text, FR_COUNT_OF(on_text), &any_schema, &text);
    static const row on_lowest[] = {{"id == -9223372036854775808", 'T'}, {"id < -9223372036854775807", 'T'}, {"id + 1 < 0", 'T'}, {"id - 1 < 0", 'U'}};
    run(on_lowest, FR_COUNT_OF(on_lowest), &any_schema, &lowest);
    static const fr_filter_schema integers = {.key_name = "pk", .id_type = FR_ID_INT64}, strings = {.key_name = "pk", .id_type = FR_ID_STRING}, none = {.id_type = FR_ID_ANY};
    static const row declared_integer[] = {{"pk == 42", 'T'}, {"pk == '42'", 'U'}, {"pk in ['42', 42]", 'T'}, {"pk in ['x']", 'U'}, {"id == 42", 'U'}};
    run(declared_integer, FR_COUNT_OF(declared_integer), &integers, &integer);
    static const row declared_string[] = {{"pk == 'abc'", 'T'}, {"pk == 42", 'U'}, {"pk != 42", 'U'}, {"pk in ['abc', 1]", 'T'}};
    run(declared_string, FR_COUNT_OF(declared_string), &strings, &text);
    static const row no_key[] = {{"id == 42", 'U'}, {"pk == 42", 'U'}};
    run(no_key, FR_COUNT_OF(no_key), &none, &integer);
}

static void keys_of_a_filter(void **state)
{
    (void)state;
    static const struct {
        const char *text, *keys; /* joined by a space */
    } rows[] = {
        {"id == 5", "5"}, {"5 == id", "5"}, {"id == 'abc'", "abc"}, {"id in [3, 1, 2, 1]", "1 2 3"}, {"id in ['b', 'a', 7]", "7 a b"},
        {"id == 5 and price > 3", "5"}, {"price > 3 and (color == 'red' and id in [1, 2])", "1 2"}, {"id in [1,2,3] and id == 9", "9"},
        {"id == 5 or price > 3", ""}, {"not (id == 5)", ""}, {"id != 5", ""}, {"id > 5", ""}, {"id not in [5]", ""}, {"price == 5", ""},
        {"id in []", ""}, {"id == 5.0", "5"}, {"id == 5.5", ""}, {"id == -3", "-3"}, {"id == 1 or id == 2", ""},
        {"id == -9223372036854775808", "-9223372036854775808"}, {"id == ''", ""},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        fr_filter *filter = compile_with(rows[i].text, &any_schema);
        const fr_span *keys;
        char joined[256] = "";
        size_t size = 0;
        uint32_t count = fr_filter_keys(filter, &keys);
        for (uint32_t k = 0; k < count; k++)
            size += (size_t)snprintf(joined + size, sizeof joined - size, "%s%.*s", k ? " " : "", (int)keys[k].size,
                                     (const char *)keys[k].data);
        assert_string_equal(joined, rows[i].keys);
        fr_filter_free(filter);
    }
    const fr_span *keys;
    static const fr_filter_schema strings = {.key_name = "id", .id_type = FR_ID_STRING};
    fr_filter *filter = compile_with("id == 5", &strings); /* no string equals 5: nothing to look up, and nothing matches */
    assert_int_equal(fr_filter_keys(filter, &keys), 0);
    fr_filter_free(filter);
    assert_int_equal(fr_filter_keys(NULL, &keys), 0);
}

static void blank_is_no_filter(void **state)
{
    (void)state;
    fr_filter *filter = (fr_filter *)&builder;
    assert_int_equal(fr_filter_compile((fr_span){NULL, 0}, &any_schema, (fr_span){NULL, 0}, &filter, NULL), FR_OK);
    assert_null(filter);
    assert_int_equal(fr_filter_compile(fr_span_text(" \t\r\n"), &any_schema, (fr_span){NULL, 0}, &filter, NULL), FR_OK);
    assert_null(filter);
    assert_true(fr_filter_match(NULL, &(fr_filter_row){.key_is_int = false}));
    fr_filter_free(NULL);
}

static void errors_say_what_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"price <", "byte 8: expected a value or a condition, found the end"},
        {"price < )", "byte 9: expected a value or a condition, found ')'"},
        {"price 7", "byte 7: expected an operator or the end, found '7'"},
        {"price == 7 color", "byte 12: expected an operator or the end, found 'color'"},
        {"(price == 7", "byte 12: expected ')' or an operator, found the end"},
        {"price == 7)", "byte 11: expected an operator or the end, found ')'"},
        {"n >> <", "byte 6"},
        {"price = 7", "byte 7: '=' is no operator; equality is '=='"},
        {"price == 'red", "byte 10: the string has no closing '"},
        {"price == 'a\\q'", "byte 12: unknown or malformed escape"},
        {"price == 'a\\u12'", "malformed escape"},
        {"price == '\\ud800'", "malformed escape"},
        {"price == '\\xff'", "do not make UTF-8"},
        {"price == 12abc", "byte 10: malformed number '12a'"},
        {"price == 0x", "malformed number"},
        {"price == 0b2", "malformed number"},
        {"price == 08", "octal"},
        {"price == 1e", "malformed number"},
        {"price == 1e999", "out of range"},
        {"price == 9223372036854775808", "does not fit 64 bits"},
        {"price == 99999999999999999999", "does not fit 64 bits"},
        {"price in [9223372036854775808]", "does not fit 64 bits"},
        {"price in 7", "byte 10: expected a list after in"},
        {"price in tags", "json_contains"},
        {"price in [7", "byte 12: expected ',' or ']', found the end"},
        {"price in [7 8]", "byte 13: expected ',' or ']', found '8'"},
        {"price in [color]", "byte 11: expected a constant or ']', found 'color'"},
        {"price in [-'a']", "expected a number"},
        {"price not 7", "expected in after not"},
        {"price like 7", "byte 12: expected a string after like"},
        {"price like 'a\\\\'", "lone backslash"},
        {"price =~ 'a'", "byte 7: regular expressions"},
        {"price !~ 'a'", "regular expressions"},
        {"st_within(geo, 'x')", "st_within is not supported"},
        {"frobnicate(price)", "byte 1: unknown function 'frobnicate'"},
        {"price == {p}", "byte 10: the value of expression template variable"}, {"match_any(a, 1)", "match_any is not supported"},
        {"price == null", "byte 10: null is no value"},
        {"price is 7", "byte 10: expected null or not null, found '7'"},
        {"price is not 7", "byte 14: expected null, found '7'"},
        {"7 is null", "expected an operator or the end, found 'is'"},
        {"exists 7", "expected a field after exists"},
        {"price", NULL},
        {"7", "byte 1: expected a condition"},
        {"price + 1", "expected a condition"},
        {"'a' and price == 7", "byte 1: expected a condition"},
        {"not 7", "byte 5: expected a condition"},
        {"id", "expected a condition"},
        {"not price == 7", "not binds tighter"},
        {"(price == 7) + 1 == 8", "found a condition at byte"},
        {"price + 'a' == 1", "expected a number next to the operator at byte 7, found a string"},
        {"price + [1] == 1", "found a list"},
        {"-'a' == 1", "expected a number"},
        {"price < true", "has no order"},
        {"price < [1]", "has no order"},
        {"1 / 0 == 1", "byte 3: the constant calculation has no result"},
        {"price in [1/0]", "the constant calculation has no result"},
        {"price in [1 + price]", "a value in a list cannot be a non-const expression"},
        {"price in [7 8]", "expected ',' or ']'"},
        {"price in [-]", "found ']'"},
        {"price in [(7]", "found ']'"},
        {"price in [9223372036854775808]", "does not fit 64 bits"},
        {"9223372036854775807 + 1 == 1", "no result"},
        {"1.5 & 1 == 1", "found a condition"},
        {"(1.5 & 1) == 1", "no result"},
        {"1 < price > 3", "goes one way"},
        {"a[ == 1", "byte 4: expected a string or an index, found '=='"},
        {"a[-1] == 1", "expected a string or an index"},
        {"a['b' == 1", "expected ']'"},
        {"a. == 1", "expected a name after '.'"},
        {"a[4294967296] == 1", "index is too large"},
        {"$other == 1", "only $meta"},
        {"$ == 1", "only $meta"},
        {"id.x == 1", "primary key has no parts"},
        {"id['x'] == 1", "primary key has no parts"},
        {"price == 7;", "byte 11: unexpected character ';'"},
        {"price == \xc3\xa4", "byte 10: unexpected character '\xc3\xa4'"},
        {"json_contains(tags)", "expected ','"},
        {"json_contains(tags, price)", "expected a constant as second argument, found a field"},
        {"json_contains(7, 7)", "expected a field as first argument"},
        {"json_contains_any(tags, 'a')", "expected a list as second argument"},
        {"json_contains(tags, 'a'", "expected ')', found the end"},
        {"array_length(7) == 1", "array_length needs a field"},
        {"array_length(tags)", "expected a condition"},
        {"and", "expected a value or a condition, found 'and'"},
        {"price == 7 and", "byte 15: expected a value or a condition, found the end"},
        {"price == 7 And color == 'red'", "byte 12: expected an operator or the end, found 'And'"},
        {"price == aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd eeeeeeeeeeffffffffffgggggggggghhhhhhhhhh", "found 'eeeeeeeeeeffffffffffgggggggggghh...'"},
    };
    unsigned wrong = 0;
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        fr_filter *filter = NULL;
        fr_err err = {.code = FR_OK};
        fr_code code = fr_filter_compile(fr_span_text(rows[i].text), &any_schema, (fr_span){NULL, 0}, &filter, &err);
        bool good = rows[i].part == NULL ? code == FR_OK
                                         : code == FR_ERR_INVALID && filter == NULL && strstr(err.text, rows[i].part) != NULL &&
                                               strcmp(err.field, "filter") == 0;
        if (!good) print_error("%s: %d %s\n", rows[i].text, code, err.text);
        wrong += !good;
        fr_filter_free(filter);
        assert_int_equal(fr_filter_compile(fr_span_text(rows[i].text), &any_schema, (fr_span){NULL, 0}, &filter, NULL), code); /* without err */
        fr_filter_free(filter);
    }
    assert_int_equal(wrong, 0);
    fr_filter *filter;
    assert_int_equal(fr_filter_compile((fr_span){"a == '\xff'", 8}, &any_schema, (fr_span){NULL, 0}, &filter, NULL), FR_ERR_INVALID);
    assert_int_equal(fr_filter_compile((fr_span){"a == \0 1", 8}, &any_schema, (fr_span){NULL, 0}, &filter, NULL), FR_ERR_INVALID);
}

static fr_code compile_repeated(const char *before, const char *piece, size_t times, const char *after)
{
    size_t size = strlen(before) + strlen(piece) * times + strlen(after);
    char *text = fr_alloc(FR_MEM_TEST, size + 1);
    assert_non_null(text);
    char *at = stpcpy(text, before);
    for (size_t i = 0; i < times; i++) at = stpcpy(at, piece);
    stpcpy(at, after);
    fr_filter *filter;
    fr_err err = {.code = FR_OK};
    fr_code code = fr_filter_compile((fr_span){text, size}, &any_schema, (fr_span){NULL, 0}, &filter, &err);
    if (code == FR_OK) {
        fr_filter_row filter_row = {.key = fr_span_text("42"), .key_is_int = true,
                                    .metadata = fr_doc_root(doc_from_text(&builder, document))};
        (void)fr_filter_match(filter, &filter_row);
    }
    fr_filter_free(filter);
    fr_free(FR_MEM_TEST, text);
    return code;
}

static void hostile_texts_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(compile_repeated("", "(", 10000, ""), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("", "not ", 10000, "sale"), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("", "!", 60000, "sale"), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("1 == ", "-", 60000, "1"), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("price in ", "[", 60000, ""), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("", "json_contains(", 4000, ""), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("", "exists ", 9000, "price"), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("price == price", " + price", 8000, ""), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("price == price", " ** price", 7000, ""), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("price", "[0]", 65, " == 1"), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("price", "[0]", 63, " == 1"), FR_OK);
    assert_int_equal(compile_repeated("sale or sold and (", "sale or sold and price | 1 ^ 2 & 3 == 4 < 5 << 6 + 7 * 8 ** (", 900, ""),
                     FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("price == 7", " and price == 7", 4000, ""), FR_OK); /* flat: no depth */
    assert_int_equal(compile_repeated("price == 8", " or price == 8 and sold", 2500, ""), FR_OK);
    assert_int_equal(compile_repeated("price in [", "1,", 16384, "]"), FR_OK);
    assert_int_equal(compile_repeated("price in [", "1,", 16385, "]"), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("tags in [", "[],", 64, "]"), FR_OK);
    assert_int_equal(compile_repeated("tags in [", "[],", 65, "]"), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("price == 1", " ", FR_FILTER_BYTES_MAX, ""), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("price == 1", " ", FR_FILTER_BYTES_MAX - 10, ""), FR_OK);
    assert_int_equal(compile_repeated("color like '", "a", 1025, "'"), FR_ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("color like '", "%a", 512, "'"), FR_OK);
    assert_int_equal(compile_repeated("price == ", "9", 60000, ""), FR_ERR_INVALID);
    assert_int_equal(compile_repeated("price == 0.", "9", 60000, ""), FR_ERR_INVALID);
    assert_int_equal(compile_repeated("price == '", "\\", 60001, "'"), FR_ERR_INVALID);
    assert_int_equal(compile_repeated("", "a ", 30000, ""), FR_ERR_INVALID);
    char text[512];
    size_t size = 0; /* exactly the limit of parentheses is fine */
    for (int i = 0; i < 64; i++) text[size++] = '(';
    size += (size_t)snprintf(text + size, sizeof text - size, "price == 7");
    for (int i = 0; i < 64; i++) text[size++] = ')';
    fr_filter *filter;
    assert_int_equal(fr_filter_compile((fr_span){text, size}, &any_schema, (fr_span){NULL, 0}, &filter, NULL), FR_OK);
    fr_filter_free(filter);
}

static void long_lists_find_each_element(void **state)
{
    (void)state;
    char *text = fr_alloc(FR_MEM_TEST, 65536);
    size_t size = (size_t)snprintf(text, 65536, "v in [");
    for (int i = 0; i < 8000; i++) size += (size_t)snprintf(text + size, 65536 - size, "%d,", (i * 7919) % 8009 * 2);
    size += (size_t)snprintf(text + size, 65536 - size, "]");
    fr_filter *filter = compile_with(text, &any_schema);
    unsigned found = 0;
    for (int v = -1; v < 16020; v++) {
        fr_doc_reset(&builder);
        fr_doc_begin_object(&builder);
        fr_doc_put_key(&builder, "v", 1);
        fr_doc_put_int(&builder, v);
        fr_doc_end_object(&builder);
        fr_span bytes;
        assert_int_equal(fr_doc_finish(&builder, &bytes), FR_OK);
        found += fr_filter_match(filter, &(fr_filter_row){.metadata = fr_doc_root(bytes)});
    }
    assert_int_equal(found, 8000);
    fr_filter_free(filter);
    fr_free(FR_MEM_TEST, text);
}

static void group_paths(void **state)
{
    (void)state;
    fr_doc root = fr_doc_root(doc_from_text(&builder, document));
    static const struct {
        const char *text;
        int64_t want; /* -1: absent, -2: refused */
    } rows[] = {
        {"price", 7}, {"a.b.c", 5}, {"a[\"b\"]['c']", 5}, {"a.b.list[0]", 10}, {"$meta[\"and\"]", 2}, {"metadata.price", 7}, {" price ", 7},
        {"missing", -1}, {"tags[9]", -1}, {"price.x", -1}, {"", -2}, {"price == 7", -2}, {"a.", -2}, {"7", -2}, {"a[", -2}, {"a b", -2},
        {"'price'", -2},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        fr_path *path;
        fr_err err;
        fr_code code = fr_path_compile(fr_span_text(rows[i].text), &path, &err);
        assert_int_equal(code, rows[i].want == -2 ? FR_ERR_INVALID : FR_OK);
        if (code != FR_OK) continue;
        fr_doc value = fr_path_get(path, root);
        if (rows[i].want == -1) assert_null(value.data);
        else assert_int_equal(fr_doc_int(value), rows[i].want);
        assert_null(fr_path_get(path, (fr_doc){NULL}).data);
        fr_path_free(path);
    }
    fr_path_free(NULL);
    fr_path *path = NULL;
    assert_int_equal(fr_path_compile(fr_span_text("id"), &path, NULL), FR_OK); /* a path knows only the metadata */
    assert_int_equal(fr_doc_type(fr_path_get(path, root)), FR_DOC_STRING);
    fr_path_free(path);
}

static void compile_survives_failed_allocations(void **state)
{
    (void)state;
    static const char text[] = "price < 10 and color in ['red', 'blue'] and not (name like 'a%b_') or json_contains_all(tags, [1, [2]]) "
                               "and id in [1, 2, 'x'] and a.b['c'] == [1, 2]";
    for (uint64_t nth = 1;; nth++) {
        fr_filter *filter = NULL;
        fr_err err;
        fr_mem_fail_at(nth);
        fr_code code = fr_filter_compile(fr_span_text(text), &any_schema, (fr_span){NULL, 0}, &filter, &err);
        fr_mem_fail_at(0);
        fr_filter_free(filter);
        if (code == FR_OK) {
            assert_true(nth > 2);
            break;
        }
        assert_int_equal(code, FR_ERR_NO_MEMORY);
        assert_null(filter);
        assert_int_equal(fr_mem_used(FR_MEM_SEARCH), 0);
    }
}

static void matching_allocates_nothing(void **state)
{
    (void)state;
    fr_filter *filter = compile_with("price * 2 < 20 and color in ['red', 'blue'] and name like 'J%' and id in [42] and "
                                     "json_contains_all(tags, ['a']) and a.b.c ** 2 == 25 and nums == [1, 2.5, 3]", &any_schema);
    fr_filter_row filter_row = {.key = fr_span_text("42"), .key_is_int = true,
                                .metadata = fr_doc_root(doc_from_text(&builder, document))};
    uint64_t before = fr_mem_calls();
    for (int i = 0; i < 100; i++) assert_true(fr_filter_match(filter, &filter_row));
    assert_int_equal(fr_mem_calls(), before);
    fr_filter_free(filter);
}

/* Random texts of the language's own pieces: what compiles must evaluate, and a filter and its negation never both match. */
static void random_expressions_are_consistent(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "price", "color", "missing", "tags", "nums", "a.b.c", "$meta['x']", "id", "7", "-1", "2.5", "'red'", "true", "[1, 'a']", "[]", "(", "(",
        ")", ")", " and ", " or ", "not ", "!", " == ", " != ", " < ", " <= ", " > ", " >= ", " in ", " not in ", " like ", "'r%'", "exists ",
        " is null", " is not null", "+", "-", "*", "/", "%", "**", "&", "|", "^", "~", "<<", ">>", "json_contains(", "array_length(", ",",
        "[0]", "['b']", ".c", "{", "null", "=~"};
    fr_filter_row filter_row = {.key = fr_span_text("42"), .key_is_int = true,
                                .metadata = fr_doc_root(doc_from_text(&builder, document))};
    uint64_t seed = 20240607;
    unsigned compiled = 0;
    char text[1024], negated[1100];
    for (int round = 0; round < 60000; round++) {
        size_t size = 0;
        seed = fr_mix64(seed + 0x9e3779b97f4a7c15u);
        for (uint64_t left = 1 + seed % 9; left > 0; left--) {
            seed = fr_mix64(seed + 0x9e3779b97f4a7c15u);
            size += (size_t)snprintf(text + size, sizeof text - size, "%s", pieces[seed % FR_COUNT_OF(pieces)]);
        }
        fr_filter *filter, *opposite;
        fr_code code = fr_filter_compile((fr_span){text, size}, &any_schema, (fr_span){NULL, 0}, &filter, NULL);
        if (code != FR_OK) {
            assert_int_equal(code, FR_ERR_INVALID);
            continue;
        }
        if (filter == NULL) continue;
        compiled++;
        snprintf(negated, sizeof negated, "not (%s)", text);
        assert_int_equal(fr_filter_compile(fr_span_text(negated), &any_schema, (fr_span){NULL, 0}, &opposite, NULL), FR_OK);
        assert_false(fr_filter_match(filter, &filter_row) && fr_filter_match(opposite, &filter_row));
        fr_filter_free(filter);
        fr_filter_free(opposite);
    }
    assert_true(compiled > 500);
}

static int teardown(void **state)
{
    (void)state;
    fr_doc_free(&builder);
    return fr_mem_used(FR_MEM_SEARCH) == 0 && fr_mem_used(FR_MEM_DOOR) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons),
        cmocka_unit_test(chains),
        cmocka_unit_test(logic),
        cmocka_unit_test(precedence),
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(literals),
        cmocka_unit_test(paths),
        cmocka_unit_test(in_lists),
        cmocka_unit_test(like),
        cmocka_unit_test(existence),
        cmocka_unit_test(functions),
        cmocka_unit_test(keys_by_type),
        cmocka_unit_test(keys_of_a_filter),
        cmocka_unit_test(blank_is_no_filter),
        cmocka_unit_test(errors_say_what_and_where),
        cmocka_unit_test(hostile_texts_are_bounded),
        cmocka_unit_test(long_lists_find_each_element),
        cmocka_unit_test(group_paths),
        cmocka_unit_test(compile_survives_failed_allocations),
        cmocka_unit_test(matching_allocates_nothing),
        cmocka_unit_test(random_expressions_are_consistent),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
