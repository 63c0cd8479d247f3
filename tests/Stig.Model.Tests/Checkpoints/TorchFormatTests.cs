using System.Text;
using Stig.Model.Checkpoints;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Refinement;
using Stig.Model.Translation;
using Stig.Tests;
using Pickle = Stig.Tests.TorchFile.Pickle;

namespace Stig.Model.Tests.Checkpoints;

/// <summary>
/// State dicts saved by PyTorch: what a good file gives, and that a bad one gives a CheckpointException of one line, whatever stands in it. No
/// file can make the reader run anything, nor take more memory than a multiple of its own length.
/// </summary>
public sealed class TorchFormatTests : IDisposable
{
    private static readonly byte[] Good = TorchFile.Of(Pickle.StateDict(
        Pickle.Tensor("a", "FloatStorage", "0", 6, 2, [2, 2], [2, 1]), Pickle.Tensor("b", "FloatStorage", "0", 6, 0, [], [])));

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_state_dict_is_read_like_safetensors()
    {
        using SafeTensorsFile file = Open(TorchFile.StateDict(("conv.weight", [2, 3], [1, 2, 3, 4, 5, 6]), ("é", [], [-0.5f])));

        Assert.Equal(["conv.weight", "é"], file.Tensors.Select(tensor => tensor.Name));
        Assert.Equal("F32 [2, 3]", file.Find("conv.weight").ToString());
        float[] values = new float[6];
        file.Read("conv.weight", values);
        Assert.Equal([1, 2, 3, 4, 5, 6], values);
        file.Read("é", values.AsSpan(0, 1));
        Assert.Equal(-0.5f, values[0]);
    }

    // Every type of PyTorch's storages, a view that begins within one, and a tensor without elements.
    [Theory]
    [InlineData("DoubleStorage", 3, "F64")]
    [InlineData("FloatStorage", 6, "F32")]
    [InlineData("HalfStorage", 12, "F16")]
    [InlineData("BFloat16Storage", 12, "BF16")]
    [InlineData("LongStorage", 3, "I64")]
    [InlineData("IntStorage", 6, "I32")]
    [InlineData("ShortStorage", 12, "I16")]
    [InlineData("CharStorage", 24, "I8")]
    [InlineData("ByteStorage", 24, "U8")]
    [InlineData("BoolStorage", 24, "BOOL")]
    public void Types_and_views_are_placed(string storage, int count, string type)
    {
        using SafeTensorsFile file = Open(TorchFile.Of(Pickle.StateDict(
            Pickle.Tensor("all", storage, "0", count, 0, [1, count], [99, 1]), Pickle.Tensor("last", storage, "0", count, count - 1, [1], [7]),
            Pickle.Tensor("none", storage, "0", count, 0, [0, 5], [5, 1]))));

        Assert.Equal($"{type} [1, {count}]", file.Find("all").ToString());
        Assert.Equal(file.Find("all").Begin + 24, file.Find("last").Begin + file.Find("last").ByteLength);
        Assert.Equal(0, file.Find("none").Count);
    }

    // The oracle is the same generator as a checkpoint of this program: the same images, to the last byte.
    [Theory]
    [InlineData("")]
    [InlineData("module.")]
    public void The_generator_of_the_reference_refines(string prefix)
    {
        var architecture = new ModelArchitecture(Preset.Official, 256, 3, NormalizationMode.Batch);
        (string Name, long[] Shape, float[] Values)[] tensors =
        [
            .. Checkpoint.ModelParameters(architecture).Select(spec => (prefix + spec.Name["generator.".Length..],
                spec.Shape.ToArray().Select(extent => (long)extent).ToArray(), spec.Initialize(11))),
        ];
        string torch = folder.Write("latest_net_G.pth", TorchFile.StateDict(tensors)), ours = folder["model.safetensors"];
        using (var executor = new Execution.Cpu.CpuExecutor())
        {
            using Execution.TensorStore store = executor.CreateStore();
            foreach (ParameterSpec spec in Checkpoint.ModelParameters(architecture))
            {
                store.Create(spec.Name, spec.Shape, spec.Initialize(11));
            }

            Checkpoint.Save(ours, new CheckpointInfo(architecture, 0, null, null), store);
        }

        Assert.Equal(architecture, Checkpoint.ReadInfo(torch).Architecture);
        float[] image = [.. Enumerable.Range(0, 3 * 32 * 32).Select(i => (i * 37 % 101) / 100f)];
        Assert.Equal(Refined(ours, image), Refined(torch, image));
        Assert.NotEqual(image, Refined(torch, image));
    }

    [Fact]
    public void A_state_dict_that_is_no_generator_is_refused_by_what_it_lacks()
    {
        string path = folder.Write("x.pth", TorchFile.StateDict(("fc.weight", [1], [1])));
        AssertLine(path, Assert.Throws<CheckpointException>(() => Checkpoint.ReadInfo(path)), "conv0_0.conv1.weight");
        path = folder.Write("x.pth", TorchFile.StateDict(("conv0_0.conv1.weight", [0], [])));
        AssertLine(path, Assert.Throws<CheckpointException>(() => Checkpoint.ReadInfo(path)), "1 to 1024 channels");
    }

    [Theory]
    [InlineData("os", "system")]
    [InlineData("builtins", "eval")]
    [InlineData("__builtin__", "exec")]
    [InlineData("torch", "load")]
    [InlineData("torch._utils", "_rebuild_tensor_v3")]
    [InlineData("torch.FloatStorage", "x")]
    [InlineData("collections", "OrderedDict ")]
    [InlineData("numpy.core.multiarray", "_reconstruct")]
    public void Names_beyond_a_state_dict_are_refused_by_name(string module, string name) => Rejects(
        [0x80, 2, .. Pickle.Global(module, name), .. "(X\u0002\0\0\0lstR."u8], $"'{module}.{name}'", "nothing was run");

    // All instructions of pickle's protocols 0 to 5 that a state dict does not need, among them those that make objects (i, o, 0x81, 0x92),
    // name functions otherwise (0x93, 0x82 to 0x84), or copy (2).
    [Fact]
    public void Instructions_beyond_a_state_dict_are_refused()
    {
        const string needed = ".(NKMJGX]})tqrhjcaesuRbQ";
        foreach (int code in Enumerable.Range(0, 256).Except(needed.Select(code => (int)code)).Except([0x80, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a]))
        {
            Rejects([0x80, 2, (byte)code, .. "abc\ndef\n."u8], $"0x{code:x2}", "nothing was run");
        }
    }

    [Theory]
    [InlineData(".", "takes what is not there")]
    [InlineData("(.", "takes what is not there")]
    [InlineData("K\u0001.", "no state dict")]
    [InlineData("h\u0005.", "not remembered")]
    [InlineData("t.", "takes what is not there")]
    [InlineData("(K\u0001K\u0002u.", "takes what is not there")]
    [InlineData("](K\u0001K\u0002u.", "no dictionary")]
    [InlineData("}(K\u0001u.", "no value")]
    [InlineData("}K\u0001a.", "no list")]
    [InlineData("K\u0001K\u0001R.", "no function")]
    [InlineData("ccollections\nOrderedDict\nK\u0001R.", "arguments")]
    [InlineData("K\u0001}b.", "no dictionary")]
    [InlineData("K\u0001Q.", "storage is not described")]
    [InlineData("X\u0000\u0000\u0000\u007f.", "cut short")]
    [InlineData("X\u0001\u0000\u0000\u0000", "cut short")]
    [InlineData("ccollections", "cut short")]
    [InlineData("\u008a\u0009123456789.", "64 bits")]
    [InlineData("", "cut short")]
    public void Nonsense_is_named(string program, string what) => Rejects([0x80, 2, .. Encoding.Latin1.GetBytes(program)], what);

    [Fact]
    public void Another_protocol_is_named() => Rejects([0x80, 4, (byte)'}', (byte)'.'], "protocol 4");

    [Theory]
    [InlineData(0, 7)]
    [InlineData(3, 4)]
    [InlineData(7, 0)]
    [InlineData(-1, 1)]
    [InlineData(long.MaxValue, 1)]
    [InlineData(1, long.MaxValue)]
    [InlineData(1L << 31, 1L << 31)]
    [InlineData(0, -1)]
    public void Views_beyond_their_data_are_refused(long offset, long extent) => RejectsTensor(6, offset, [extent], [1], "'a'", "passes its data");

    [Theory]
    [InlineData(new long[] { 1L << 31, 1L << 32 }, "passes")]
    [InlineData(new long[] { 0, long.MaxValue, 2 }, "passes")]
    [InlineData(new long[] { 2, -1 }, "passes")]
    public void Shapes_that_overflow_are_refused(long[] shape, string what) => RejectsTensor(6, 0, shape, TorchFile.RowMajor([.. shape.Select(_ => 1L)]), what);

    // Stride 0 would make a large tensor of a small file, a negative or huge one would leave the data.
    [Theory]
    [InlineData(new long[] { 0, 0 })]
    [InlineData(new long[] { 1, 2 })]
    [InlineData(new long[] { 2, -1 })]
    [InlineData(new long[] { long.MaxValue, 1 })]
    [InlineData(new long[] { long.MinValue, 1 })]
    public void Strides_of_another_order_are_refused(long[] strides) => RejectsTensor(6, 0, [2, 2], strides, "row-major", "contiguous()");

    [Theory]
    [InlineData(5)]
    [InlineData(7)]
    [InlineData(-1)]
    [InlineData(long.MaxValue)]
    [InlineData(1L << 62)]
    public void Data_of_another_length_is_refused(long count) => RejectsTensor(count, 0, [1], [1], $"{count} elements", "24 bytes");

    [Fact]
    public void Data_that_is_absent_is_refused() =>
        Rejects(Pickle.StateDict(Pickle.Tensor("a", "FloatStorage", "../0", 6, 0, [1], [1])), "'a'", "'../0'");

    [Fact]
    public void A_tensor_that_stands_twice_is_refused()
    {
        byte[] a = Pickle.Tensor("a", "FloatStorage", "0", 6, 0, [1], [1]);
        Rejects(Pickle.StateDict(a, a), "'a'", "twice");
    }

    [Fact]
    public void A_compressed_archive_is_refused_before_anything_is_unpacked()
    {
        byte[] archive = [.. Good];
        int entry = archive.AsSpan().IndexOf("PK\u0001\u0002"u8);
        archive[entry + 10] = 8;
        RejectsFile(archive, "compressed", "torch.save");
        archive[entry + 10] = 0;
        archive[entry + 20]--;
        RejectsFile(archive, "compressed");
    }

    [Fact]
    public void Entries_that_overlap_or_stand_twice_are_refused()
    {
        byte[] archive = [.. Good];
        int first = archive.AsSpan().IndexOf("PK\u0001\u0002"u8), second = first + 1 + archive.AsSpan(first + 1).IndexOf("PK\u0001\u0002"u8);
        archive.AsSpan(first + 42, 4).CopyTo(archive.AsSpan(second + 42));
        RejectsFile(archive, "overlaps");
        RejectsFile(TorchFile.Zip(("net/data.pkl", []), ("net/data.pkl", [])), "twice");
        RejectsFile(TorchFile.Zip(("net/data.pkl", []), ("other/data.pkl", [])), "2 files data.pkl");
        RejectsFile(TorchFile.Zip(("net/code.py", [])), "0 files data.pkl");
    }

    [Fact]
    public void The_format_before_1_6_is_named() => RejectsFile(
        [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, (byte)'.'], "before 1.6");

    [Fact]
    public void Big_endian_data_is_refused() => RejectsFile(
        TorchFile.Zip(("net/data.pkl", Pickle.StateDict()), ("net/byteorder", "big"u8.ToArray())), "big-endian");

    [Fact]
    public void Cut_at_every_byte_is_rejected()
    {
        for (int length = 0; length < Good.Length; length++)
        {
            RejectsFile(Good[..length]);
        }
    }

    // A pickle that doubles a tuple 10,000 times over has 2^10000 leaves for whoever walks it.
    [Fact]
    public void Nesting_without_end_costs_nothing()
    {
        byte[] nested = [0x80, 2, (byte)')', .. Enumerable.Repeat((byte[])[(byte)'q', 0, (byte)'h', 0, 0x86], 10_000).SelectMany(step => step), (byte)'.'];
        Rejects(nested, "no state dict");
        Rejects([0x80, 2, .. Enumerable.Repeat((byte)'(', 1_000_000), (byte)'.'], "takes what is not there");
    }

    /// <summary>
    /// Any change of any bytes gives a valid file, whose tensors can be read and lie within it, or a CheckpointException, never another
    /// exception, and memory of a multiple of the file at most.
    /// </summary>
    [Fact]
    [Trait(Soak.Category, Soak.LongForm)]
    public void Random_changes_never_escape()
    {
        int count = Soak.Scale(4000, 2_000_000), seed = Environment.TickCount & 0xffff;
        int valid = Fuzz.Run(Good, count, seed, bytes =>
        {
            using SafeTensorsFile file = Open(bytes);
            return file.Tensors.Count;
        });
        Soak.Report($"{count} changed files of PyTorch, {valid} of them still valid, seed {seed}");
        Assert.InRange(valid, 1, count - 1);
    }

    private static float[] Refined(string model, float[] image)
    {
        using Refiner refiner = Refiner.Load(model, new RefinerOptions { Device = "cpu" });
        float[] refined = new float[image.Length];
        refiner.Refine(image, refined, 1, 32, 32);
        return refined;
    }

    private SafeTensorsFile Open(byte[] bytes) => SafeTensorsFile.Open(folder.Write("x.pth", bytes));

    private void RejectsTensor(long count, long offset, long[] shape, long[] strides, params string[] parts) =>
        Rejects(Pickle.StateDict(Pickle.Tensor("a", "FloatStorage", "0", count, offset, shape, strides)), parts);

    private void Rejects(byte[] pickle, params string[] parts) => RejectsFile(TorchFile.Of(pickle), parts);

    private void RejectsFile(byte[] bytes, params string[] parts)
    {
        string path = folder.Write("x.pth", bytes);
        AssertLine(path, Assert.Throws<CheckpointException>(() => SafeTensorsFile.Open(path).Dispose()), parts);
    }

    private static void AssertLine(string path, CheckpointException error, params string[] parts)
    {
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        Assert.All(parts, part => Assert.Contains(part, error.Message, StringComparison.Ordinal));
    }
}
