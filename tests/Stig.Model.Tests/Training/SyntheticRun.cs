using Stig.Model.Data;
using Stig.Model.Imaging;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Training;

/// <summary>Small runs on synthetic images, in a folder that goes with the object.</summary>
internal sealed class SyntheticRun : IDisposable
{
    private readonly TestFolder folder = new();

    public SyntheticRun(int count = 6, int size = 32) => SyntheticImages.WriteSet(this["data"], count, size, seed: 7);

    public string this[string name] => folder[name];

    public TrainingRunOptions Options(Preset preset, string name, long steps, int size = 32) => new()
    {
        RealFolder = Path.Combine(this["data"], "real"),
        FakeFolder = Path.Combine(this["data"], "fake"),
        OutputFolder = this[name],
        Training = TrainingOptions.For(preset) with { Size = size, Width = 4, Patches = 16, ProjectionDimensions = 16, Steps = steps },
        Crop = CropMode.Center,
        Validation = 2,
        Interval = 2,
        Device = "cpu",
    };

    public void Dispose() => folder.Dispose();
}
