using System.Buffers.Binary;
using System.Text;
using CsCheck;
using Stig.Model.Checkpoints;
using Stig.Tests;

namespace Stig.Model.Tests.Checkpoints;

/// <summary>
/// The reader against files made here byte by byte from the format's description. A malformed file must give a
/// CheckpointException whose message is one line, begins with the file and names what the test says; values must come back
/// exactly.
/// </summary>
public sealed class SafeTensorsFileTests : IDisposable
{
    private const string Good = """{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"I64","shape":[],"data_offsets":[8,16]}}""";
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Open_lists_tensors_and_metadata()
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(Write(Good, new byte[16]));
        Assert.Equal("v", Assert.Single(file.Metadata, pair => pair.Key == "k").Value);
        Assert.Equal(["a", "b"], file.Tensors.Select(t => t.Name));
        StoredTensor a = file.Find("a");
        Assert.Equal((StoredType.F32, 2L, 8L, 8L + Good.Length), (a.Type, a.Count, a.ByteLength, a.Begin));
        Assert.Equal([2, 1], a.Shape);
        StoredTensor b = file.Find("b");
        Assert.Equal((StoredType.I64, 1L, 8L, 16L + Good.Length), (b.Type, b.Count, b.ByteLength, b.Begin));
        Assert.Empty(b.Shape);
        Assert.False(file.TryFind("c", out _));
    }

    [Fact]
    public void File_without_tensors_is_valid()
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(Write("{}", []));
        Assert.Empty(file.Tensors);
        Assert.Empty(file.Metadata);
    }

    [Fact]
    public void Empty_tensor_is_valid_and_reads_nothing()
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(Write(Entry("a", "F32", "[0,5]", 0, 0), []));
        file.Read("a", Span<float>.Empty);
        Assert.Equal(0, file.Find("a").Count);
    }

    [Fact]
    public void Data_order_may_differ_from_header_order()
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(Write(
            """{"late":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"early":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""",
            [7, 9]));
        Assert.Equal(["early", "late"], file.Tensors.Select(t => t.Name));
        Assert.Equal((7, 9), (Integer(file, "early"), Integer(file, "late")));
    }

    [Fact]
    public void Floats_of_every_width_convert_exactly()
    {
        // 1.5, -0.25 and the largest and smallest F16 are exact in every floating type of the format but BF16, which gets its own.
        float[] expected = [1.5f, -0.25f, 65504f, 5.9604645e-8f, float.NegativeInfinity];
        byte[] data =
        [
            .. expected.SelectMany(v => BitConverter.GetBytes((double)v)), .. expected.SelectMany(BitConverter.GetBytes),
            .. expected.SelectMany(v => BitConverter.GetBytes((Half)v)), 0xC0, 0x3F, 0x80, 0xFF,
        ];
        using SafeTensorsFile file = SafeTensorsFile.Open(Write(
            """{"F64":{"dtype":"F64","shape":[5],"data_offsets":[0,40]},"F32":{"dtype":"F32","shape":[5],"data_offsets":[40,60]},"""
            + """ "F16":{"dtype":"F16","shape":[5],"data_offsets":[60,70]},"BF16":{"dtype":"BF16","shape":[2],"data_offsets":[70,74]}}""",
            data));
        float[] values = new float[5];
        foreach (string name in (string[])["F64", "F32", "F16"])
        {
            Array.Clear(values);
            file.Read(name, values);
            Assert.Equal(expected, values);
        }

        file.Read("BF16", values.AsSpan(0, 2));
        Assert.Equal([1.5f, float.NegativeInfinity], values[..2]);
    }

    [Theory]
    [InlineData("I64", "FEFFFFFFFFFFFFFF", -2)]
    [InlineData("U64", "FEFFFFFFFFFFFF7F", long.MaxValue - 1)]
    [InlineData("I32", "FEFFFFFF", -2)]
    [InlineData("U32", "FEFFFFFF", uint.MaxValue - 1)]
    [InlineData("I16", "FEFF", -2)]
    [InlineData("U16", "FEFF", ushort.MaxValue - 1)]
    [InlineData("I8", "FE", -2)]
    [InlineData("U8", "FE", 254)]
    [InlineData("BOOL", "01", 1)]
    public void Integers_of_every_width_widen_exactly(string dtype, string hex, long expected)
    {
        byte[] data = Convert.FromHexString(hex);
        using SafeTensorsFile file = SafeTensorsFile.Open(Write(Entry("a", dtype, "[]", 0, data.Length), data));
        Assert.Equal(expected, Integer(file, "a"));
    }

    [Fact]
    public void Conversion_across_pieces_keeps_every_element()
    {
        // 3 x 65536 + 17 elements: more than one piece of the conversion buffer, and an odd tail.
        const int count = (3 * 65536) + 17;
        byte[] data = [.. Enumerable.Range(0, count).SelectMany(i => BitConverter.GetBytes((ushort)(i * 7)))];
        using SafeTensorsFile file = SafeTensorsFile.Open(Write(Entry("a", "U16", $"[{count}]", 0, data.Length), data));
        long[] values = new long[count];
        file.Read("a", values);
        Assert.Equal(Enumerable.Range(0, count).Select(i => (long)(ushort)(i * 7)), values);
    }

    [Fact]
    public void U64_beyond_long_is_rejected() => Fails(Entry("a", "U64", "[]", 0, 8), [0, 0, 0, 0, 0, 0, 0, 0x80],
        file => Integer(file, "a"), "'a'", "9223372036854775808");

    [Fact]
    public void Float_read_of_integers_is_rejected() => Fails(Entry("a", "I32", "[1]", 0, 4), new byte[4],
        file => file.Read("a", new float[1]), "'a'", "I32");

    [Fact]
    public void Integer_read_of_floats_is_rejected() => Fails(Entry("a", "F32", "[1]", 0, 4), new byte[4],
        file => file.Read("a", new long[1]), "'a'", "F32");

    [Fact]
    public void Read_of_another_count_is_rejected_with_both() => Fails(Entry("a", "F32", "[2,3]", 0, 24), new byte[24],
        file => file.Read("a", new float[5]), "'a'", "[2, 3]", "6 elements", "5 are needed");

    [Fact]
    public void Find_of_another_shape_is_rejected_with_both() => Fails(Entry("a", "F32", "[2,3]", 0, 24), new byte[24],
        file => file.Find("a", 3, 2), "'a'", "[2, 3]", "[3, 2]");

    [Fact]
    public void Find_of_the_same_shape_succeeds()
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(Write(Entry("a", "F32", "[2,3]", 0, 24), new byte[24]));
        Assert.Equal("a", file.Find("a", 2, 3).Name);
    }

    [Fact]
    public void Absent_tensor_is_rejected_by_name() => Fails(Entry("a", "F32", "[1]", 0, 4), new byte[4],
        file => file.Find("generator.final.weight"), "no tensor", "'generator.final.weight'");

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void Non_finite_value_is_rejected_by_ReadFinite_only(float bad)
    {
        byte[] data = [.. BitConverter.GetBytes(1f), .. BitConverter.GetBytes(bad)];
        string header = Entry("a", "F32", "[2]", 0, 8);
        float[] values = new float[2];
        using (SafeTensorsFile file = SafeTensorsFile.Open(Write(header, data)))
        {
            file.Read("a", values);
        }

        Assert.Equal([1f, bad], values);
        Fails(header, data, file => file.ReadFinite("a", values), "'a'", "element 1",
            bad.ToString(System.Globalization.CultureInfo.CurrentCulture));
    }

    [Fact]
    public void F64_beyond_float_is_rejected_by_ReadFinite() => Fails(Entry("a", "F64", "[1]", 0, 8), BitConverter.GetBytes(1e300),
        file => file.ReadFinite("a", new float[1]), "'a'", "element 0");

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void File_shorter_than_8_bytes(int length) => Rejects(new byte[length], $"{length} bytes", "too few");

    [Fact]
    public void Header_longer_than_the_file() => Rejects(Raw(100, "{}"u8), "100 bytes", "only 2 follow");

    [Theory]
    [InlineData(100_000_001UL)]
    [InlineData(1UL << 31)]
    [InlineData(long.MaxValue)]
    [InlineData(ulong.MaxValue)]
    public void Header_longer_than_100_MB(ulong length) => Rejects(Raw(length, "{}"u8), $"{length}", "100000000");

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData(" {}")]
    [InlineData("[]")]
    [InlineData("null")]
    public void Header_is_not_an_object(string header) => Rejects(header, [], "not a JSON object");

    [Theory]
    [InlineData("{")]
    [InlineData("{}}")]
    [InlineData("{} {}")]
    [InlineData("{\"a\"}")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",}}")]
    [InlineData("{/* no comments */}")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]}}")]
    public void Header_is_not_JSON(string header) => Rejects(header, new byte[4], "not valid JSON");

    [Fact]
    public void Header_is_not_UTF8() => Rejects(Raw(4, [(byte)'{', 0xC3, 0x28, (byte)'}']), "not a JSON object");

    [Fact]
    public void Header_is_deep()
    {
        string deep = new string('[', 100_000) + new string(']', 100_000);
        Rejects($$$"""{"a":{"dtype":"F32","shape":{{{deep}}},"data_offsets":[0,4]}}""", new byte[4], "not valid JSON");
    }

    [Fact]
    public void Name_is_half_a_surrogate_pair() =>
        Rejects("""{"\ud800":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}""", [0], "not Unicode");

    [Fact]
    public void Name_stands_twice() => Rejects(
        """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""",
        [0, 0], "'a'", "twice");

    [Theory]
    [InlineData("\"dtype\":\"U8\",", "dtype")]
    [InlineData("\"shape\":[1],", "shape")]
    [InlineData("\"data_offsets\":[0,1],", "data_offsets")]
    public void Field_stands_twice(string again, string field) =>
        Rejects($$$"""{"a":{ {{{again}}} "dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", [0], "'a'", field, "twice");

    [Fact]
    public void Metadata_stands_twice() => Rejects("""{"__metadata__":{},"__metadata__":{}}""", [], "__metadata__", "twice");

    [Fact]
    public void Metadata_key_stands_twice() => Rejects("""{"__metadata__":{"k":"1","k":"2"}}""", [], "'k'", "twice");

    [Theory]
    [InlineData("1")]
    [InlineData("null")]
    [InlineData("true")]
    [InlineData("{}")]
    [InlineData("[]")]
    public void Metadata_value_is_not_a_string(string value) =>
        Rejects($$$"""{"__metadata__":{"k":{{{value}}} } }""", [], "'k'", "not a string");

    [Theory]
    [InlineData("\"text\"")]
    [InlineData("[]")]
    [InlineData("null")]
    public void Metadata_is_not_an_object(string value) =>
        Rejects($$$"""{"__metadata__":{{{value}}} }""", [], "__metadata__", "not an object");

    [Theory]
    [InlineData("1")]
    [InlineData("[]")]
    [InlineData("null")]
    public void Entry_is_not_an_object(string entry) => Rejects($$$"""{"a":{{{entry}}} }""", [], "'a'", "not an object");

    [Theory]
    [InlineData("\"shape\":[1],\"data_offsets\":[0,1]", "dtype is missing")]
    [InlineData("\"dtype\":\"U8\",\"data_offsets\":[0,1]", "shape is missing")]
    [InlineData("\"dtype\":\"U8\",\"shape\":[1]", "data_offsets is missing")]
    [InlineData("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"strides\":[1]", "unknown field 'strides'")]
    [InlineData("\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]", "dtype is not a string")]
    [InlineData("\"dtype\":\"U8\",\"shape\":1,\"data_offsets\":[0,1]", "shape is not a list")]
    [InlineData("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":\"0\"", "data_offsets is not a list")]
    public void Entry_has_wrong_fields(string fields, string message) => Rejects($$$"""{"a":{ {{{fields}}} }}""", [0], "'a'", message);

    [Theory]
    [InlineData("F33")]
    [InlineData("f32")]
    [InlineData("")]
    [InlineData("9")]
    [InlineData("U8, I8")]
    [InlineData("F8_E4M3")]
    public void Dtype_is_unknown(string dtype) => Rejects(Entry("a", dtype, "[1]", 0, 1), [0], "'a'", $"'{dtype}'", "not known");

    [Theory]
    [InlineData("[-1]")]
    [InlineData("[-1,-1]")]
    [InlineData("[-2147483648]")]
    [InlineData("[-9223372036854775808,2]")]
    public void Extent_is_negative(string shape) => Rejects(Entry("a", "U8", shape, 0, 1), [0], "'a'", "negative extent", Spaced(shape));

    [Theory]
    [InlineData("F32", "[9223372036854775807]")]
    [InlineData("F32", "[2305843009213693952]")]
    [InlineData("U8", "[9223372036854775807,2]")]
    [InlineData("U8", "[4294967296,4294967296]")]
    [InlineData("U8", "[4294967296,4294967296,0]")]
    [InlineData("F64", "[2147483648,2147483648]")]
    [InlineData("U8", "[9223372036854775807,9223372036854775807,9223372036854775807]")]
    public void Size_overflows(string dtype, string shape) => Rejects(Entry("a", dtype, shape, 0, 1), [0], "'a'", "2^63", Spaced(shape));

    [Theory]
    [InlineData("[9223372036854775808]")]
    [InlineData("[1e300]")]
    [InlineData("[1.0]")]
    [InlineData("[\"1\"]")]
    [InlineData("[null]")]
    public void Extent_is_not_a_whole_number(string shape) => Rejects(Entry("a", "U8", shape, 0, 1), [0], "'a'", "shape", "whole number");

    [Theory]
    [InlineData("F32", "[2147483647]", 8589934588L)]
    [InlineData("F32", "[2147483648]", 8589934592L)]
    [InlineData("U8", "[9223372036854775807]", long.MaxValue)]
    public void Huge_tensor_in_a_small_file(string dtype, string shape, long end) =>
        Rejects(Entry("a", dtype, shape, 0, end), [0], "'a'", $"{end}", "the file has only 1");

    [Theory]
    [InlineData("[]")]
    [InlineData("[0]")]
    [InlineData("[0,4,8]")]
    [InlineData("[-4,0]")]
    [InlineData("[4,0]")]
    public void Offsets_are_no_range(string offsets) =>
        Rejects($$$"""{"a":{"dtype":"F32","shape":[1],"data_offsets":{{{offsets}}} } }""", new byte[4], "'a'", Spaced(offsets),
            "not a range");

    [Theory]
    [InlineData(0, 4)]
    [InlineData(0, 12)]
    [InlineData(0, 0)]
    [InlineData(0, long.MaxValue)]
    public void Range_does_not_fit_the_shape(long begin, long end) =>
        Rejects(Entry("a", "F32", "[2]", begin, end), new byte[8], "'a'", "F32 [2] needs 8 bytes", $"give {end - begin}");

    [Theory]
    [InlineData(4, 12)]
    [InlineData(long.MaxValue - 8, long.MaxValue)]
    public void Data_beyond_the_end_of_the_file(long begin, long end) =>
        Rejects(Entry("a", "F32", "[2]", begin, end), new byte[8], "'a'", $"ends at byte {end}", "only 8");

    [Theory]
    [InlineData("[0,2]", "[1,3]", "'b'", "begins 1 bytes before the end of tensor 'a'")]
    [InlineData("[0,2]", "[0,2]", "'b'", "begins 2 bytes before")]
    public void Ranges_overlap(string a, string b, string name, string message) => Rejects(Two(a, b), new byte[3], name, message);

    [Theory]
    [InlineData("[0,2]", "[3,5]", "'b'", "1 bytes between it and tensor 'a'")]
    [InlineData("[1,3]", "[3,5]", "'a'", "1 bytes between it and the header")]
    public void Ranges_leave_a_gap(string a, string b, string name, string message) => Rejects(Two(a, b), new byte[5], name, message);

    [Fact]
    public void Trailing_bytes() => Rejects(Two("[0,2]", "[2,4]"), new byte[7], "3 bytes after tensor 'b'");

    [Fact]
    public void Trailing_bytes_without_tensors() => Rejects("{}", [0], "1 bytes after the header");

    [Fact]
    public void Name_with_line_breaks_gives_one_line() =>
        Rejects("""{"a\nb\u0000":{"dtype":"X","shape":[1],"data_offsets":[0,1]}}""", [0], "'a?b?'");

    [Fact]
    public void JSON_error_that_quotes_line_breaks_gives_one_line() =>
        Rejects("{\"a\":{\"dtype\":ff\net,\"shape\":[1]}}", [0], "not valid JSON", "ff?et");

    [Fact]
    public void Missing_file()
    {
        string path = folder["absent.safetensors"];
        AssertLine(path, Assert.Throws<CheckpointException>(() => SafeTensorsFile.Open(path)), "cannot be read");
    }

    [Fact]
    public void Folder_instead_of_a_file() =>
        AssertLine(folder.Root, Assert.Throws<CheckpointException>(() => SafeTensorsFile.Open(folder.Root)), "cannot be read");

    [Fact]
    public void Cut_at_every_byte_is_rejected()
    {
        byte[] whole = Bytes(Good, new byte[16]);
        for (int length = 0; length < whole.Length; length++)
        {
            Rejects(whole[..length]);
        }

        SafeTensorsFile.Open(Write(whole)).Dispose();
    }

    [Fact]
    public void Extended_by_a_byte_is_rejected() => Rejects([.. Bytes(Good, new byte[16]), 0], "after tensor 'b'");

    [Fact]
    public void File_cut_while_it_is_open_is_rejected_on_reading()
    {
        string path = Write(Good, new byte[16]);
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        using (FileStream stream = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete))
        {
            stream.SetLength(8 + Good.Length + 4);
        }

        AssertLine(path, Assert.Throws<CheckpointException>(() => file.Read("a", new float[2])), "cut it short");
    }

    /// <summary>
    /// Any change of the header gives a valid file or a CheckpointException, never another exception; and what is valid can
    /// be read. CsCheck prints the seed of a failing case.
    /// </summary>
    [Fact]
    public void Random_header_perturbation_never_escapes()
    {
        byte[] whole = Bytes(Good, new byte[16]);
        string alphabet = "{}[]\",:0123456789-.eE abdtFIU\\u\n\0\u007f";
        Gen<(int At, int Kind, int Value)[]> edits = Gen.Select(
            Gen.Int[0, whole.Length - 17], Gen.Int[0, 3], Gen.Int[0, 255]).Array[1, 4];
        int valid = 0;
        Check.Sample(
            edits,
            cases =>
            {
                List<byte> bytes = [.. whole];
                foreach ((int at, int kind, int value) in cases)
                {
                    switch (kind)
                    {
                        case 0:
                            bytes[at] = (byte)value;
                            break;
                        case 1:
                            bytes[at] = (byte)alphabet[value % alphabet.Length];
                            break;
                        case 2 when at >= 8:
                            bytes.Insert(at, (byte)alphabet[value % alphabet.Length]);
                            break;
                        case 3 when at >= 8:
                            bytes.RemoveAt(at);
                            break;
                    }
                }

                // Three of four keep a length that fits, so that the parser and not only the length check is tried.
                if (cases[0].Value % 4 != 0)
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(
                        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(bytes), (ulong)(bytes.Count - 8 - 16));
                }

                string path = folder[$"{Guid.NewGuid():N}.safetensors"];
                File.WriteAllBytes(path, [.. bytes]);
                try
                {
                    using SafeTensorsFile file = SafeTensorsFile.Open(path);
                    foreach (StoredTensor tensor in file.Tensors)
                    {
                        ReadAny(file, tensor);
                    }

                    Interlocked.Increment(ref valid);
                }
                catch (CheckpointException error)
                {
                    AssertLine(path, error);
                }
                finally
                {
                    File.Delete(path);
                }
            },
            iter: 5000);

        // Changes inside names and metadata leave a valid file; if none did, the perturbation would only try the first check.
        Assert.True(valid > 0, "no perturbed file was valid");
    }

    [Fact]
    public void Golden_header_is_read()
    {
        string path = Path.Combine(ReferenceFolder.Location, "01_spectrum.safetensors");
        Assert.SkipUnless(File.Exists(path), "the golden folder (STIG_GOLDEN or tests/golden) lacks 01_spectrum.safetensors");
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        Assert.NotEmpty(file.Tensors);
        Assert.All(file.Tensors, tensor => Assert.Contains(tensor.Type, (StoredType[])[StoredType.F32, StoredType.I64]));
        StoredTensor image = file.Find("a.image");
        Assert.Equal(4, image.Shape.Count);

        // The reference tensors' description: images are intensities in [0, 1].
        float[] values = new float[image.Count];
        file.ReadFinite("a.image", values);
        Assert.InRange(values.Min(), 0f, 1f);
        Assert.InRange(values.Max(), float.Epsilon, 1f);
    }

    private static string Entry(string name, string dtype, string shape, long begin, long end) =>
        $$$"""{"{{{name}}}":{"dtype":"{{{dtype}}}","shape":{{{shape}}},"data_offsets":[{{{begin}}},{{{end}}}]}}""";

    /// <summary>Two tensors of two bytes.</summary>
    private static string Two(string a, string b) =>
        $$$"""{"a":{"dtype":"U8","shape":[2],"data_offsets":{{{a}}} },"b":{"dtype":"U8","shape":[2],"data_offsets":{{{b}}} } }""";

    private static string Spaced(string list) => list.Replace(",", ", ", StringComparison.Ordinal);

    private static byte[] Raw(ulong headerLength, ReadOnlySpan<byte> rest)
    {
        byte[] bytes = new byte[8 + rest.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, headerLength);
        rest.CopyTo(bytes.AsSpan(8));
        return bytes;
    }

    private static byte[] Bytes(string header, byte[] data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        return Raw((ulong)json.Length, [.. json, .. data]);
    }

    private static long Integer(SafeTensorsFile file, string name)
    {
        long[] value = new long[1];
        file.Read(name, value);
        return value[0];
    }

    private static void ReadAny(SafeTensorsFile file, StoredTensor tensor)
    {
        if (tensor.Type is StoredType.F64 or StoredType.F32 or StoredType.F16 or StoredType.BF16)
        {
            file.Read(tensor.Name, new float[tensor.Count]);
        }
        else
        {
            file.Read(tensor.Name, new long[tensor.Count]);
        }
    }

    private static void AssertLine(string path, CheckpointException error, params string[] parts)
    {
        Assert.StartsWith(path + ": ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        Assert.All(parts, part => Assert.Contains(part, error.Message, StringComparison.Ordinal));
    }

    private string Write(string header, byte[] data) => Write(Bytes(header, data));

    private string Write(byte[] bytes)
    {
        string path = folder["model.safetensors"];
        File.WriteAllBytes(path, bytes);
        return path;
    }

    private void Rejects(string header, byte[] data, params string[] parts) => Rejects(Bytes(header, data), parts);

    private void Rejects(byte[] bytes, params string[] parts)
    {
        string path = Write(bytes);
        AssertLine(path, Assert.Throws<CheckpointException>(() => SafeTensorsFile.Open(path)), parts);
    }

    private void Fails(string header, byte[] data, Action<SafeTensorsFile> read, params string[] parts)
    {
        string path = Write(header, data);
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        AssertLine(path, Assert.Throws<CheckpointException>(() => read(file)), parts);
    }
}
