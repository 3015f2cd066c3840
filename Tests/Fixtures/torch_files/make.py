# Layouts that torch.save writes: types, shared storages, strides, offsets, expanded, parameters, sizes.
import torch, collections, sys
from safetensors.torch import save_file
out=sys.argv[1]
g=torch.Generator().manual_seed(7)
base=torch.randn(6,8,generator=g)
big=torch.arange(40,dtype=torch.float32)
d=collections.OrderedDict()
d['float32']=torch.randn(3,4,generator=g)
d['float64']=torch.randn(5,generator=g,dtype=torch.float64)
d['float16']=torch.randn(2,3,generator=g).half()
d['bfloat16']=torch.randn(2,3,generator=g).bfloat16()
d['int64']=torch.tensor([-2**62,-1,0,2**40])
d['int32']=torch.tensor([[1,-2],[3,4]],dtype=torch.int32)
d['uint8']=torch.tensor([0,255,7],dtype=torch.uint8)
d['bool']=torch.tensor([True,False,True])
d['scalar']=torch.tensor(2.5)
d['empty']=torch.zeros(0,3)
d['transposed']=base.t()
d['tied']=base
d['rows']=base[1:4]
d['column']=base[:,2]
d['every_other']=big[3::5]
d['inner']=big[4:36].view(4,8)[1:3,2:7:2]
d['permuted']=torch.randn(2,3,4,generator=g).permute(2,0,1)
d['parameter']=torch.nn.Parameter(torch.randn(4,generator=g))
torch.save(d,out+'/layouts.pt')
save_file({k:v.detach().clone().contiguous() for k,v in d.items()},out+'/layouts.safetensors')
torch.save({'weight':torch.zeros(1,1).expand(1000,1000)},out+'/expanded.pt')
torch.save({'weight':torch.zeros(3,dtype=torch.int16)},out+'/int16.pt')
torch.save({'weight':torch.zeros(3)},out+'/legacy.pt',_use_new_zipfile_serialization=False)
torch.save([1,2],out+'/list.pt')
