using System.Buffers.Binary;
using System.Text;
using Stig.Model.Checkpoints;
using Stig.Model.Data;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Training;
using Stig.Model.Translation;
using Stig.Tests;

namespace Stig.Model.Tests.Checkpoints;

/// <summary>
/// A checkpoint's metadata under attack, of which the header's checks know nothing: whatever it says, loading gives a model or a
/// CheckpointException of one line that names the file.
/// </summary>
public sealed class CheckpointTests : IDisposable
{
    private const int Size = 16;

    private readonly TestFolder folder = new();
    private readonly byte[] good;

    public CheckpointTests()
    {
        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        store.Create(Translator.FilterName, new Shape(3, Size, Size), new float[3 * Size * Size]);
        TrainingOptions training = TrainingOptions.For(Preset.Filter) with { Size = Size };
        var setup = new RunSetup(CropMode.Center, 2, 50, 6, 6, "00", "cpu with 1 thread");
        Checkpoint.Save(Model, new CheckpointInfo(training.Architecture, 3, training, 14.5, setup), store);
        good = File.ReadAllBytes(Model);
    }

    private string Model => folder["model.safetensors"];

    public void Dispose() => folder.Dispose();

    [Fact]
    public void What_is_written_is_read()
    {
        CheckpointInfo info = Checkpoint.ReadInfo(Model);
        Assert.Equal((3L, 14.5, "cpu with 1 thread"), (info.Step, info.SpectralDistance, info.Setup!.ComputedOn));
        Assert.Equal(Preset.Filter, Load().Architecture.Preset);
    }

    [Theory]
    [InlineData("\\\"size\\\":16", "\\\"size\\\":-16", "impossible")]
    [InlineData("\\\"size\\\":16", "\\\"size\\\":0", "impossible")]
    [InlineData("\\\"size\\\":16", "\\\"size\\\":65536", "65536] is needed")]
    [InlineData("\\\"size\\\":16", "\\\"size\\\":65537", "impossible")]
    [InlineData("\\\"size\\\":16", "\\\"size\\\":2147483647", "impossible")]
    [InlineData("\\\"size\\\":16", "\\\"size\\\":2147483648", "architecture")]
    [InlineData("\\\"size\\\":16", "\\\"size\\\":1e99", "architecture")]
    [InlineData("\\\"size\\\":16", "\\\"sighs\\\":16", "architecture")]
    [InlineData("\\\"width\\\":0", "\\\"width\\\":1024", "impossible")]
    [InlineData("\\\"preset\\\":\\\"Filter\\\"", "\\\"preset\\\":\\\"Other\\\"", "architecture")]
    [InlineData("\\\"preset\\\":\\\"Filter\\\"", "\\\"preset\\\":99", "impossible")]
    [InlineData("\\\"preset\\\":\\\"Filter\\\"", "\\\"preset\\\":null", "architecture")]
    [InlineData("\\\"residual_gain\\\":1", "\\\"residual_gain\\\":1e999", "impossible")]
    [InlineData("\\\"crop\\\":\\\"Center\\\"", "\\\"crop\\\":99", "impossible")]
    [InlineData("\\\"validation\\\":2", "\\\"validation\\\":-1", "impossible")]
    [InlineData("\\\"interval\\\":50", "\\\"interval\\\":0", "impossible")]
    [InlineData("\"step\":\"3\"", "\"step\":\"-3\"", "step")]
    [InlineData("\"step\":\"3\"", "\"step\":\"9223372036854775808\"", "step")]
    [InlineData("\"step\":\"3\"", "\"stop\":\"3\"", "step")]
    [InlineData("\"schema_version\":\"1\"", "\"schema_version\":\"2\"", "schema version 2")]
    [InlineData("\"schema_version\":\"1\"", "\"schema_version\":\"99999999999\"", "schema version 99999999999")]
    [InlineData("\"format\":\"stig\"", "\"format\":\"pytorch\"", "conv0_0")]
    [InlineData("\"format\":\"stig\"", "\"format\":\"\"", "not a STIG checkpoint")]
    public void A_changed_field_is_named(string before, string after, string named)
    {
        byte[] changed = Replace(before, after);
        File.WriteAllBytes(Model, changed);
        CheckpointException error = Assert.Throws<CheckpointException>(Load);
        Assert.StartsWith(Model, error.Message, StringComparison.Ordinal);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Deep_metadata_is_refused()
    {
        string deep = new string('[', 100_000) + new string(']', 100_000);
        File.WriteAllBytes(Model, Replace("\\\"size\\\":16", $"\\\"size\\\":{deep}"));
        Assert.Contains("\"architecture\"", Assert.Throws<CheckpointException>(() => Checkpoint.ReadInfo(Model)).Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait(Soak.Category, Soak.LongForm)]
    public void Random_changes_never_escape()
    {
        int count = Soak.Scale(4000, 2_000_000), seed = Environment.TickCount & 0xffff;
        int valid = Fuzz.Run(good, count, seed, bytes =>
        {
            File.WriteAllBytes(Model, bytes);
            return Load().Architecture.Size;
        });
        Soak.Report($"{count} changed checkpoints, {valid} of them still valid, seed {seed}");
        Assert.InRange(valid, 1, count - 1);
    }

    private CheckpointInfo Load()
    {
        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        return Checkpoint.LoadModel(Model, store);
    }

    // The same file with another header of the right length.
    private byte[] Replace(string before, string after)
    {
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(good);
        string header = Encoding.UTF8.GetString(good, 8, length);
        Assert.Contains(before, header, StringComparison.Ordinal);
        byte[] changed = Encoding.UTF8.GetBytes(header.Replace(before, after, StringComparison.Ordinal));
        return [.. BitConverter.GetBytes((ulong)changed.Length), .. changed, .. good.AsSpan(8 + length)];
    }
}
