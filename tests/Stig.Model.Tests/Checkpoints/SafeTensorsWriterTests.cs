using System.Buffers.Binary;
using System.Text.Json;
using System.Text;
using CsCheck;
using Stig.Model.Checkpoints;

namespace Stig.Model.Tests.Checkpoints;

/// <summary>The writer against the reader (exact, bit by bit), against the format's rules, and when writing fails.</summary>
public sealed class SafeTensorsWriterTests : IDisposable
{
    private static readonly Dictionary<string, string> NoMetadata = [];
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Round_trip_keeps_every_bit()
    {
        string path = folder["model.safetensors"];
        Dictionary<string, string> metadata = new() { ["schema"] = "1", ["note"] = "\"quoted\", ünïcode 语\n\\", [""] = "" };
        float[] weights = [1f, -0f, float.NaN, float.NegativeInfinity, float.Epsilon, 1f / 3];
        long[] steps = [long.MinValue, long.MaxValue];
        Half[] halves = [(Half)0.1f, Half.NaN, (Half)3];
        using (SafeTensorsWriter writer = new(path, metadata,
            [new("a.weight", StoredType.F32, 2, 3), new("steps", StoredType.I64, 2), new("half", StoredType.F16, 3),
                new("none", StoredType.F32, 0, 4), new("é\"\\", StoredType.F32)]))
        {
            writer.Write("é\"\\", [42f]);
            writer.Write("steps", steps);
            writer.Write("a.weight", weights.AsSpan(0, 1));
            writer.WriteBytes("half", System.Runtime.InteropServices.MemoryMarshal.AsBytes<Half>(halves));
            writer.Write("a.weight", weights.AsSpan(1));
            writer.Commit();
        }

        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        Assert.Equal(metadata, file.Metadata);
        float[] read = new float[6];
        file.Read("a.weight", read);
        Assert.Equal(weights.Select(BitConverter.SingleToInt32Bits), read.Select(BitConverter.SingleToInt32Bits));
        long[] readSteps = new long[2];
        file.Read("steps", readSteps);
        Assert.Equal(steps, readSteps);
        file.Read("half", read.AsSpan(0, 3));
        Assert.Equal(halves.Select(half => (float)half), read[..3]);
        file.Read("é\"\\", read.AsSpan(0, 1));
        Assert.Equal(42f, read[0]);
        Assert.Equal([2, 3], file.Find("a.weight").Shape);
        Assert.Equal([0, 4], file.Find("none").Shape);
        Assert.Empty(file.Find("é\"\\").Shape);
    }

    [Fact]
    public void Header_is_padded_sorted_and_in_insertion_order_and_data_is_aligned()
    {
        string path = folder["model.safetensors"];
        Save(path, new() { ["z"] = "1", ["B"] = "2", ["a"] = "3" }, [new("u8", StoredType.U8, 3), new("f32", StoredType.F32, 5),
            new("i64", StoredType.I64, 1), new("f16", StoredType.F16, 1)]);
        byte[] bytes = File.ReadAllBytes(path);
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        Assert.Equal(0, length % 8);
        string header = Encoding.UTF8.GetString(bytes, 8, length);
        using JsonDocument json = JsonDocument.Parse(header);
        Assert.Equal(["__metadata__", "u8", "f32", "i64", "f16"], json.RootElement.EnumerateObject().Select(p => p.Name));
        Assert.Equal(["B", "a", "z"], json.RootElement.GetProperty("__metadata__").EnumerateObject().Select(p => p.Name));
        Assert.All(header[header.TrimEnd(' ').Length..], c => Assert.Equal(' ', c));
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        Assert.All(file.Tensors, t => Assert.Equal(0, t.Begin % (t.ByteLength / t.Count)));
    }

    [Fact]
    public void Same_content_gives_same_bytes()
    {
        string one = folder["one.safetensors"];
        string two = folder["two.safetensors"];
        Save(one, new() { ["a"] = "1", ["b"] = "2" }, [new("x", StoredType.F32, 3), new("y", StoredType.I64, 2)]);
        Save(two, new() { ["b"] = "2", ["a"] = "1" }, [new("x", StoredType.F32, 3), new("y", StoredType.I64, 2)]);
        Assert.Equal(File.ReadAllBytes(one), File.ReadAllBytes(two));
    }

    [Fact]
    public void Commit_replaces_the_previous_file_even_while_it_is_being_read()
    {
        string path = folder["model.safetensors"];
        Save(path, NoMetadata, [new("old", StoredType.F32, 3)]);
        using SafeTensorsFile open = SafeTensorsFile.Open(path);
        Save(path, NoMetadata, [new("new", StoredType.F32, 2)]);
        float[] values = new float[3];
        open.Read("old", values);
        Assert.Equal([1f, 2f, 3f], values);
        using SafeTensorsFile now = SafeTensorsFile.Open(path);
        Assert.Equal("new", Assert.Single(now.Tensors).Name);
        Assert.Equal([path], Directory.GetFiles(folder.Root));
    }

    [Fact]
    public void Dispose_without_commit_keeps_the_previous_file()
    {
        string path = folder["model.safetensors"];
        byte[] before = Previous(path);
        using (SafeTensorsWriter writer = new(path, NoMetadata, [new("x", StoredType.F32, 4)]))
        {
            writer.Write("x", [1f, 2f]);
            Assert.Equal(before, File.ReadAllBytes(path));
        }

        AssertOnly(path, before);
    }

    [Fact]
    public void Commit_of_an_incomplete_tensor_is_refused_and_keeps_the_previous_file()
    {
        string path = folder["model.safetensors"];
        byte[] before = Previous(path);
        using (SafeTensorsWriter writer = new(path, NoMetadata, [new("x", StoredType.F32, 4)]))
        {
            writer.Write("x", [1f, 2f, 3f]);
            Assert.Contains("'x' has got 12 of its 16", Assert.Throws<InvalidOperationException>(writer.Commit).Message,
                StringComparison.Ordinal);
        }

        AssertOnly(path, before);
    }

    [Fact]
    public void Full_disk_is_one_line_and_keeps_the_previous_file()
    {
        // More than any disk holds, but within what a file's length can say: the space is reserved before the first value is taken.
        string path = folder["model.safetensors"];
        byte[] before = Previous(path);
        CheckpointException? error = null;
        try
        {
            using SafeTensorsWriter writer = new(path, NoMetadata, [new("x", StoredType.U8, 1L << 60)]);
        }
        catch (CheckpointException caught)
        {
            error = caught;
        }

        AssertOnly(path, before);
        Assert.SkipWhen(error is null, "the file system of the temporary folder does not reserve space");
        AssertLine(path, error);
    }

    [Fact]
    public void Missing_folder_is_one_line()
    {
        string path = Path.Combine(folder.Root, "absent", "model.safetensors");
        AssertLine(path, Assert.Throws<CheckpointException>(() => new SafeTensorsWriter(path, NoMetadata, [])));
    }

    [Fact]
    public void Unwritable_folder_is_one_line()
    {
        // Not even root may create a file there.
        Assert.SkipUnless(Directory.Exists("/proc/self"), "needs Linux's /proc");
        AssertLine("/proc/self/model.safetensors",
            Assert.Throws<CheckpointException>(() => new SafeTensorsWriter("/proc/self/model.safetensors", NoMetadata, [])));
    }

    [Fact]
    public void Failed_rename_is_one_line_and_removes_the_temporary_file()
    {
        // A folder that is not empty stands under the target's name, which only the rename at the very end can notice.
        string path = folder["model.safetensors"];
        Directory.CreateDirectory(Path.Combine(path, "inside"));
        using SafeTensorsWriter writer = new(path, NoMetadata, [new("x", StoredType.F32, 1)]);
        writer.Write("x", [1f]);
        AssertLine(path, Assert.Throws<CheckpointException>(writer.Commit));
        Assert.Empty(Directory.GetFiles(folder.Root));
        Assert.True(Directory.Exists(Path.Combine(path, "inside")));
    }

    [Fact]
    public void Second_writer_of_the_same_file_is_refused_and_leaves_the_first_alone()
    {
        string path = folder["model.safetensors"];
        using SafeTensorsWriter first = new(path, NoMetadata, [new("x", StoredType.F32, 1)]);
        AssertLine(path, Assert.Throws<CheckpointException>(() => new SafeTensorsWriter(path, NoMetadata, [])));
        first.Write("x", [5f]);
        first.Commit();
        float[] value = new float[1];
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        file.Read("x", value);
        Assert.Equal(5f, value[0]);
    }

    [Fact]
    public void Remains_of_a_killed_writer_are_overwritten()
    {
        string path = folder["model.safetensors"];
        File.WriteAllBytes(path + ".tmp", new byte[10_000]);
        Save(path, NoMetadata, [new("x", StoredType.F32, 1)]);
        SafeTensorsFile.Open(path).Dispose();
        Assert.Equal([path], Directory.GetFiles(folder.Root));
    }

    [Fact]
    public void Misuse_is_an_argument_exception()
    {
        using SafeTensorsWriter writer = new(folder["model.safetensors"], NoMetadata, [new("x", StoredType.F32, 2)]);
        Assert.Throws<ArgumentException>(() => writer.Write("y", [1f]));
        Assert.Throws<ArgumentException>(() => writer.Write("x", [1L]));
        Assert.Throws<ArgumentException>(() => writer.Write("x", [1f, 2f, 3f]));
        Assert.Throws<ArgumentException>(
            () => new SafeTensorsWriter(folder["b"], NoMetadata, [new("x", StoredType.F32), new("x", StoredType.F32)]));
        Assert.Throws<ArgumentException>(() => new StoredTensor("__metadata__", StoredType.F32));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StoredTensor("x", StoredType.F32, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StoredTensor("x", StoredType.F32, 1L << 61));
    }

    /// <summary>Random names, types and shapes come back; CsCheck prints the seed of a failing case.</summary>
    [Fact]
    public void Random_files_round_trip()
    {
        Gen<StoredTensor> tensor = Gen.Select(
            Gen.String, Gen.Enum<StoredType>(), Gen.Long[0, 4].Array[0, 4], (name, type, shape) => new StoredTensor(name, type, shape));
        Check.Sample(
            tensor.Array[0, 6],
            drawn =>
            {
                StoredTensor[] tensors = [.. drawn.DistinctBy(t => t.Name)];
                string path = folder[$"{Guid.NewGuid():N}.safetensors"];
                Save(path, NoMetadata, tensors);
                using SafeTensorsFile file = SafeTensorsFile.Open(path);
                File.Delete(path);
                Assert.Equal(tensors.Length, file.Tensors.Count);
                Assert.All(tensors, t => Assert.Equal(t.ToString(), file.Find(t.Name, [.. t.Shape]).ToString()));
            },
            iter: 300);
    }

    private static void AssertLine(string path, CheckpointException error)
    {
        Assert.StartsWith($"{path}: cannot be written: ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    /// <summary>Writes tensors whose bytes count 1, 2, 3 for F32 values and are arbitrary otherwise.</summary>
    private static void Save(string path, Dictionary<string, string> metadata, StoredTensor[] tensors)
    {
        using SafeTensorsWriter writer = new(path, metadata, tensors);
        foreach (StoredTensor tensor in tensors)
        {
            if (tensor.Type == StoredType.F32)
            {
                writer.Write(tensor.Name, [.. Enumerable.Range(1, (int)tensor.Count).Select(i => (float)i)]);
            }
            else
            {
                writer.WriteBytes(tensor.Name, new byte[tensor.ByteLength]);
            }
        }

        writer.Commit();
    }

    private static byte[] Previous(string path)
    {
        Save(path, NoMetadata, [new("previous", StoredType.F32, 3)]);
        return File.ReadAllBytes(path);
    }

    private void AssertOnly(string path, byte[] content)
    {
        Assert.Equal([path], Directory.GetFiles(folder.Root));
        Assert.Equal(content, File.ReadAllBytes(path));
    }
}
